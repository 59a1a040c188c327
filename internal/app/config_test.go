package app

import "testing"

// Each secret goes where it belongs.
func TestSecretsComeFromTheEnvironment(t *testing.T) {
	t.Parallel()
	var c Config
	c.TakeSecrets(func(variable string) string { return "of " + variable })
	holds := map[string]string{
		"CONSENTSYNC_ADMIN_TOKEN": c.AdminToken, "CONSENTSYNC_MASTER_KEY": c.MasterKey, "CONSENTSYNC_OIDC_CLIENT_SECRET": c.OIDCClientSecret,
		"CONSENTSYNC_NOTIFY_SMTP_PASSWORD": c.Notify.SMTPPassword, "OTEL_EXPORTER_OTLP_HEADERS": c.TracesHeaders,
	}
	if len(holds) != len(Secrets) {
		t.Errorf("of %d secrets %d are looked at", len(Secrets), len(holds))
	}
	for variable, got := range holds {
		if got != "of "+variable {
			t.Errorf("%s: the configuration holds %q", variable, got)
		}
	}
}
