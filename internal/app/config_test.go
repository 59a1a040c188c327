package app

import "testing"

// Each secret goes where it belongs.
func TestSecretsComeFromTheEnvironment(t *testing.T) {
	t.Parallel()
	var c Config
	c.TakeSecrets(func(variable string) string { return "of " + variable })
	for variable, got := range map[string]string{
		"CONSENTSYNC_ADMIN_TOKEN": c.AdminToken, "CONSENTSYNC_MASTER_KEY": c.MasterKey, "CONSENTSYNC_OIDC_CLIENT_SECRET": c.OIDCClientSecret,
		"CONSENTSYNC_NOTIFY_SMTP_PASSWORD": c.Notify.SMTPPassword,
	} {
		if got != "of "+variable {
			t.Errorf("%s: the configuration holds %q", variable, got)
		}
	}
}
