package config

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// minSecret is the least length of the secret, from which every other key is derived.
const minSecret = 32

// Secret is text that must not be printed: fmt, logs and JSON show that there is one, and no more. Convert it to a string to use it.
type Secret string

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "[hidden]"
}

// GoString keeps %#v from printing the value.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// MarshalText keeps JSON and YAML encoders from printing the value.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String shows every setting as it is in force, without the secrets.
func (c *Config) String() string {
	var b strings.Builder
	for _, f := range leavesOf(c) {
		value := f.field.Interface()
		if f.key == "database.url" {
			value = redactURL(string(c.Database.URL))
		}
		fmt.Fprintf(&b, "%s: %v\n", f.key, value)
	}
	return b.String()
}

func redactURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Query().Has("password") {
		return "[hidden]"
	}
	return u.Redacted()
}

// readSecretFiles fills each secret from its *_file twin. A value beats a file of the same source; the environment beats both of the file.
func (l *loader) readSecretFiles() {
	c := l.config
	for _, s := range []struct {
		key  string
		path string
		into *Secret
	}{
		{"secret", c.SecretFile, &c.Secret},
		{"database.url", c.Database.URLFile, &c.Database.URL},
		{"database.password", c.Database.PasswordFile, &c.Database.Password},
		{"admin.password", c.Admin.PasswordFile, &c.Admin.Password},
		{"smtp.pass", c.SMTP.PassFile, &c.SMTP.Pass},
	} {
		if content, ok := l.readSecretFile(s.key, s.path); ok {
			*s.into = Secret(content)
		}
	}
	if content, ok := l.readSecretFile("previous_secrets", c.PreviousSecretsFile); ok {
		c.PreviousSecrets = nil
		for _, line := range strings.Fields(content) {
			c.PreviousSecrets = append(c.PreviousSecrets, Secret(line))
		}
	}
}

// readSecretFile returns the content of key's file unless a stronger source gave the value itself.
func (l *loader) readSecretFile(key, path string) (string, bool) {
	if path == "" {
		return "", false
	}
	value, file := l.rank(key), l.rank(key+"_file")
	if value == file {
		l.fault(key, "give either %s or %s_file, not both", key, key)
		return "", false
	}
	if value > file {
		return "", false
	}
	b, err := os.ReadFile(path)
	if err != nil {
		l.fault(key+"_file", "cannot be read: %v", err)
		return "", false
	}
	content := strings.TrimSpace(string(b))
	if content == "" {
		l.fault(key+"_file", "%s is empty", path)
	}
	return content, content != ""
}

// rank says how strong the source of a key's value is: 2 environment, 1 file, 0 none.
func (l *loader) rank(key string) int {
	raw, variable := l.raw(key)
	switch {
	case variable != "":
		return 2
	case raw == nil, raw == "":
		return 0
	}
	if list, ok := raw.([]any); ok && len(list) == 0 {
		return 0
	}
	return 1
}

// EnsureSecret makes a secret in data_dir on the first start in development and finds it on later ones. It does nothing
// when the configuration has one, as it must in production.
func (c *Config) EnsureSecret() error {
	if c.Secret != "" {
		return nil
	}
	path := filepath.Join(c.DataDir, "secret")
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createSecret(c.DataDir, path); err != nil {
			return fmt.Errorf("make a secret: %w", err)
		}
		content, err = os.ReadFile(path)
	}
	if err != nil {
		return fmt.Errorf("read the secret: %w", err)
	}
	c.Secret = Secret(strings.TrimSpace(string(content)))
	if len(c.Secret) < minSecret {
		return fmt.Errorf("the secret in %s is shorter than %d characters; delete the file to get a new one, which signs everybody out", path, minSecret)
	}
	return nil
}

// createSecret writes the whole file before it gets its name, and lets the first of two starts win, so that no process
// ever sees half a secret or one that is replaced a moment later.
func createSecret(dir, path string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, "secret-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	b := make([]byte, 48)
	rand.Read(b) // never fails: crypto/rand ends the program instead
	_, err = tmp.WriteString(base64.RawURLEncoding.EncodeToString(b) + "\n")
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
