package integration

import "consentsync/internal/store"

// ReadSettings reads the settings out of a body that creates an integration, or
// out of an answer that shows one. A field that does not exist, or has the wrong
// type, is an error that names it, as when an integration is created; whether
// the settings are right is not asked, nor are the secrets.
func ReadSettings(body []byte) (store.Settings, error) {
	in, err := decode(body)
	if err != nil {
		return store.Settings{}, err
	}
	in.complete()
	return in.Settings, nil
}
