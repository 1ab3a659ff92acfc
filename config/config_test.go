package config_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"auth-service/config"
)

const strongSecret = "kX8vQ2mZr5tYw9LpJc4NfHs7GdBe3AuT6RiO1KyM"

// inEmptyDirectory hides the developer's own config.yaml and variables from the test.
func inEmptyDirectory(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, name := range []string{"HOST", "PORT", "NODE_ENV", "DATABASE_URL"} {
		t.Setenv(name, "")
	}
}

func load(t *testing.T, yaml string) (*config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(path, []byte(yaml), 0o600))
	return config.Load(path)
}

// The example is the documentation of the settings: it has every key, each with a comment, and its values are the defaults.
func TestExample(t *testing.T) {
	example, err := filepath.Abs("../config.example.yaml")
	require.NoError(t, err)
	inEmptyDirectory(t)
	fromExample, err := config.Load(example)
	require.NoError(t, err)
	defaults, err := config.Load("")
	require.NoError(t, err)
	assert.Equal(t, defaults, fromExample)

	b, err := os.ReadFile(example)
	require.NoError(t, err)
	var document yaml.Node
	require.NoError(t, yaml.Unmarshal(b, &document))
	got := map[string]bool{}
	commented(t, document.Content[0], "", got)
	want := map[string]bool{}
	keys(reflect.TypeFor[config.Config](), "", want)
	assert.Equal(t, want, got)
}

// commented collects the leaf keys below node and fails for one without a comment.
func commented(t *testing.T, node *yaml.Node, prefix string, out map[string]bool) {
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if value.Kind == yaml.MappingNode {
			commented(t, value, prefix+key.Value+".", out)
			continue
		}
		out[prefix+key.Value] = true
		assert.NotEmpty(t, key.HeadComment, "%s%s needs a comment", prefix, key.Value)
	}
}

func keys(in reflect.Type, prefix string, out map[string]bool) {
	for field := range in.Fields() {
		key := field.Tag.Get("key")
		switch {
		case key == "":
			continue
		case field.Type.Kind() == reflect.Struct:
			keys(field.Type, prefix+key+".", out)
		default:
			out[prefix+key] = true
		}
	}
}

func TestDefaults(t *testing.T) {
	inEmptyDirectory(t)
	c, err := config.Load("")
	require.NoError(t, err)
	assert.Equal(t, "http://localhost:3001/api/auth", c.Issuer())
	assert.Equal(t, "127.0.0.1", c.Listen.Host)
	assert.Equal(t, config.Secret("sqlite:data/auth.db"), c.Database.URL)
	assert.Equal(t, "console", c.Log.Format)
	assert.Equal(t, 30*24*time.Hour, c.OAuth.RefreshTokenIdle)
	assert.Empty(t, c.Warnings)
}

func TestSourcesInOrder(t *testing.T) {
	inEmptyDirectory(t)
	t.Setenv("PORT", "4000")
	t.Setenv("AUTH_OAUTH_CODE_LIFETIME", "30s")
	t.Setenv("AUTH_APP_NAME", "Ours")
	t.Setenv("APP_NAME", "Older")
	c, err := load(t, "listen: {port: 5000, host: 0.0.0.0}\noauth:\n  code_lifetime: 45s\n  id_token_lifetime: 2h\napp: {name: File}\n")
	require.NoError(t, err)
	assert.Equal(t, 4000, c.Listen.Port, "a variable beats the file")
	assert.Equal(t, "0.0.0.0", c.Listen.Host, "the file beats the default")
	assert.Equal(t, 30*time.Second, c.OAuth.CodeLifetime)
	assert.Equal(t, 2*time.Hour, c.OAuth.IDTokenLifetime)
	assert.Equal(t, "Ours", c.App.Name, "our variable beats the older one")
	assert.Equal(t, "http://localhost:4000", c.PublicURL, "the default follows the port")
}

func TestConfigYAMLInTheWorkingDirectory(t *testing.T) {
	inEmptyDirectory(t)
	require.NoError(t, os.WriteFile("config.yaml", []byte("app: {name: Here}"), 0o600))
	c, err := config.Load("")
	require.NoError(t, err)
	assert.Equal(t, "Here", c.App.Name)

	_, err = config.Load("other.yaml")
	assert.ErrorContains(t, err, "other.yaml", "a file that is asked for must exist")
}

func TestVariablesOfTheReplacedService(t *testing.T) {
	inEmptyDirectory(t)
	for name, value := range map[string]string{
		"NODE_ENV": "production", "PORT": "8080", "HOST": "::1", "BETTER_AUTH_SECRET": strongSecret, "BETTER_AUTH_URL": "https://auth.example.org/",
		"POSTGRES_HOST": "db", "POSTGRES_PORT": "6432", "POSTGRES_USER": "us er", "POSTGRES_PASSWORD": "p@ss/word", "POSTGRES_DB": "people",
		"ADMIN_EMAIL": "root@example.org", "ADMIN_PASSWORD": "12345678", "CORS_ORIGINS": "https://a.example.org, https://b.example.org",
		"APP_NAME": "Old", "APP_LOGO_URL": "/logo.svg", "SMTP_HOST": "mail", "SMTP_PORT": "25", "SMTP_USER": "u", "SMTP_PASS": "p", "SMTP_FROM": "Old <a@example.org>",
	} {
		t.Setenv(name, value)
	}
	c, err := config.Load("")
	require.NoError(t, err)
	assert.True(t, c.Production())
	assert.Equal(t, "https://auth.example.org", c.PublicURL)
	assert.Equal(t, "::1", c.Listen.Host)
	assert.Equal(t, 8080, c.Listen.Port)
	assert.Equal(t, config.Secret("postgres://us%20er:p%40ss%2Fword@db:6432/people?sslmode=prefer"), c.Database.URL)
	assert.Equal(t, []string{"https://a.example.org", "https://b.example.org"}, c.CORSOrigins)
	assert.Equal(t, config.Admin{Email: "root@example.org", Password: "12345678"}, c.Admin)
	assert.Equal(t, config.SMTP{Host: "mail", Port: 25, User: "u", Pass: "p", From: "Old <a@example.org>"}, c.SMTP)
	assert.Equal(t, "Old", c.App.Name)
	assert.Equal(t, "/logo.svg", c.App.LogoURL)
	assert.Equal(t, config.Secret(strongSecret), c.Secret)
	assert.Equal(t, "json", c.Log.Format)

	t.Setenv("DATABASE_URL", "sqlite:elsewhere.db")
	c, err = config.Load("")
	require.NoError(t, err)
	assert.Equal(t, config.Secret("sqlite:elsewhere.db"), c.Database.URL, "the URL beats its parts")
}

func TestDatabaseHosts(t *testing.T) {
	inEmptyDirectory(t)
	for host, want := range map[string]string{
		"db":              "postgres://db:5432/auth?sslmode=prefer",
		"a, b:5433":       "postgres://a:5432,b:5433/auth?sslmode=prefer",
		"::1":             "postgres://[::1]:5432/auth?sslmode=prefer",
		"/run/postgresql": "postgres:///auth?host=%2Frun%2Fpostgresql&port=5432&sslmode=prefer",
	} {
		t.Setenv("POSTGRES_HOST", host)
		c, err := config.Load("")
		require.NoError(t, err)
		assert.Equal(t, want, string(c.Database.URL))
	}
}

func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name, yaml, want string
	}{
		{"unknown key", "oauth: {code_lifetme: 1m}", "oauth.code_lifetme: there is no such setting; did you mean oauth.code_lifetime?"},
		{"unknown section", "zzzzzz: {a: 1}", "zzzzzz.a: there is no such setting"},
		{"value for a section", "smtp: mail.example.com", "smtp: needs keys below it, not a value"},
		{"section for a value", "secret: {a: b}", "secret.a: there is no such setting"},
		{"text for a number", "listen: {port: http}", "listen.port: must be a whole number"},
		{"fraction for a number", "listen: {port: 1.5}", "listen.port: must be a whole number"},
		{"port", "listen: {port: 70000}", "listen.port: must be between 0 and 65535"},
		{"address with port", `listen: {host: "127.0.0.1:80"}`, "listen.host: must be an address or a host name, without a port"},
		{"duration without unit", "oauth: {code_lifetime: 60}", "oauth.code_lifetime: must be a duration with a unit"},
		{"negative duration", "oauth: {refresh_grace: -1s}", "oauth.refresh_grace: must be a duration"},
		{"code that lives too long", "oauth: {code_lifetime: 11m}", "oauth.code_lifetime: must be between 1s and 10m0s"},
		{"yes for a truth", "sign_up: {enabled: maybe}", "sign_up.enabled: must be true or false"},
		{"environment", "environment: staging", "environment: must be one of development, production"},
		{"issuer with a path", "public_url: https://a.example/auth", "public_url: must be an origin"},
		{"issuer without scheme", "public_url: a.example", "public_url: must be an origin"},
		{"issuer with a user", "public_url: https://u@a.example", "public_url: must be an origin"},
		{"origin with a star", `cors_origins: ["*"]`, "cors_origins: must be an origin"},
		{"short secret", "secret: abc", "secret: must have at least 32 characters"},
		{"secret twice", "secret: " + strongSecret + "\nsecret_file: /x", "secret: give either secret or secret_file, not both"},
		{"secret file away", "secret_file: /does/not/exist", "secret_file: cannot be read"},
		{"previous is current", "secret: " + strongSecret + "\nprevious_secrets: [" + strongSecret + "]", "previous_secrets: must not hold the current secret"},
		{"database scheme", "database: {url: 'mysql://u:hunter2@h/d'}", "database.url: must begin with postgres:// or sqlite:"},
		{"database URL broken", "database: {url: 'postgres://u:hunter2%@h/d'}", "database.url: is not a URL"},
		{"PostgreSQL without a host", "database: {user: u, password: hunter2}", "database.host: is missing although database.user is set"},
		{"proxy", "trusted_proxies: [ten]", `trusted_proxies: "ten" is neither an address nor a network`},
		{"everybody is a proxy", "trusted_proxies: [0.0.0.0/0]", "trusted_proxies: 0.0.0.0/0 would let everybody"},
		{"mail without sender", "smtp: {host: mail}", "smtp.from: must be an address"},
		{"idle beyond absolute", "session: {idle: 60d}", "session.idle: must not be longer than session.absolute"},
		{"records that are late and gone", "consumption: {max_age: 30d, retention: 20d}", "consumption.max_age: must not be longer than consumption.retention"},
		{"records of hours that are gone", "consumption: {max_age: 8d, hourly_retention: 7d}", "consumption.max_age: must not be longer than consumption.hourly_retention"},
		{"records for no time", "consumption: {retention: 1h}", "consumption.retention: must be between"},
		{"a skew of a day", "consumption: {max_skew: 24h}", "consumption.max_skew: must be between"},
		{"keys that die before tokens", "oauth: {key_retention: 3h}", "oauth.key_retention: must be between"},
		{"logo", "app: {logo_url: 'javascript:alert(1)'}", "app.logo_url: must be an http(s) URL or a path"},
		{"logo from a foreign host", "app: {logo_url: '//evil.example/x'}", "app.logo_url: must be an http(s) URL or a path"},
		{"size", "limits: {body: 1GB}", `limits.body: must be a size such as`},
		{"organization of nobody", "organizations: {max_members: 0}", "organizations.max_members: must be between 1 and 100000"},
		{"too many invitations", "organizations: {max_invitations: 10001}", "organizations.max_invitations: must be between 1 and 10000"},
		{"invitation for ever", "organizations: {invitation_lifetime: 31d}", "organizations.invitation_lifetime: must be between 1m0s and 720h0m0s"},
		{"every network is allowed", "outgoing: {allowed_networks: [10.0.0.0/8, '::/0']}", "outgoing.allowed_networks: ::/0 would open every network"},
		{"answer that may take an hour", "outgoing: {timeout: 1h}", "outgoing.timeout: must be between 100ms and 1m0s"},
		{"short admin password", "admin: {password: hunter2}", "admin.password: must have between 8 and 128 characters"},
		{"admin without address", "admin: {email: root}", "admin.email: must be an e-mail address"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inEmptyDirectory(t)
			_, err := load(t, tt.yaml)
			var invalid *config.Invalid
			require.ErrorAs(t, err, &invalid)
			assert.Contains(t, err.Error(), tt.want)
			// What is wrong may be a secret on the wrong line.
			assert.NotContains(t, err.Error(), "hunter2")
			assert.NotContains(t, err.Error(), strongSecret)
		})
	}
}

func TestEveryFaultAtOnce(t *testing.T) {
	inEmptyDirectory(t)
	t.Setenv("AUTH_LISTEN_PORT", "x")
	t.Setenv("AUTH_OAUTH_CODE_LIFETIMES", "1m")
	_, err := load(t, "environment: production\npublic_url: http://auth.example.org\ncolour: red\npassword: {argon2: {memory_kib: 1024}}")
	var invalid *config.Invalid
	require.ErrorAs(t, err, &invalid)
	assert.Equal(t, []string{
		"AUTH_OAUTH_CODE_LIFETIMES: there is no such variable; did you mean AUTH_OAUTH_CODE_LIFETIME?",
		"colour: there is no such setting",
		"listen.port: must be a whole number (from AUTH_LISTEN_PORT)",
		"password.argon2.memory_kib: must be between 7168 and 4194304",
		"public_url: must begin with https:// in production",
		"secret: production needs one: set secret or secret_file to the output of `openssl rand -base64 48`",
	}, invalid.Faults)
}

func TestProduction(t *testing.T) {
	for name, tt := range map[string]struct {
		yaml, want string
		warns      bool
	}{
		"good":                       {"public_url: https://a.example\nsecret: " + strongSecret, "", false},
		"http on this machine":       {"public_url: http://localhost:3001\nsecret: " + strongSecret, "", false},
		"no public URL":              {"secret: " + strongSecret, "", true},
		"a placeholder for a secret": {"public_url: https://a.example\nsecret: better-auth-secret-12345678901234567890", "can be guessed", false},
		"a repetition for a secret":  {"public_url: https://a.example\nsecret: " + strings.Repeat("ab", 20), "can be guessed", false},
	} {
		t.Run(name, func(t *testing.T) {
			inEmptyDirectory(t)
			c, err := load(t, "environment: production\n"+tt.yaml)
			if tt.want != "" {
				assert.ErrorContains(t, err, tt.want)
				return
			}
			require.NoError(t, err)
			assert.Empty(t, c.Listen.Host, "every address")
			assert.Equal(t, tt.warns, len(c.Warnings) > 0)
			require.NoError(t, c.EnsureSecret())
			assert.NoDirExists(t, "data", "production never makes its own secret")
		})
	}
}

func TestStrangeVariablesWarn(t *testing.T) {
	inEmptyDirectory(t)
	t.Setenv("AUTH_TRUST_HOST", "true") // another program's
	c, err := config.Load("")
	require.NoError(t, err)
	assert.Equal(t, []string{"AUTH_TRUST_HOST is set in the environment but names no setting"}, c.Warnings)
}

func TestSecretFiles(t *testing.T) {
	inEmptyDirectory(t)
	write := func(name, content string) string {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	t.Setenv("BETTER_AUTH_SECRET_FILE", write("secret", strongSecret+"\n"))
	t.Setenv("POSTGRES_HOST", "db")
	t.Setenv("POSTGRES_PASSWORD_FILE", write("pg", "from file\n"))
	t.Setenv("AUTH_SMTP_PASS_FILE", write("smtp", "from file"))
	t.Setenv("ADMIN_PASSWORD", "from variable")
	previous := write("previous", "one-old-secret\nanother-old-secret\n")
	c, err := load(t, "secret: "+strings.ToLower(strongSecret)+"\nadmin: {password_file: /does/not/exist}\nprevious_secrets_file: "+previous+
		"\nsmtp: {host: mail, user: u, from: a@example.org}\ndatabase: {user: u}")
	require.NoError(t, err)
	assert.Equal(t, config.Secret(strongSecret), c.Secret, "a file named in the environment beats a value in the file")
	assert.Equal(t, config.Secret("from variable"), c.Admin.Password, "a variable beats a file named in the file")
	assert.Equal(t, config.Secret("from file"), c.SMTP.Pass)
	assert.Equal(t, config.Secret("postgres://u:from%20file@db:5432/auth?sslmode=prefer"), c.Database.URL)
	assert.Equal(t, []config.Secret{"one-old-secret", "another-old-secret"}, c.PreviousSecrets)

	t.Setenv("BETTER_AUTH_SECRET_FILE", write("empty", "\n"))
	_, err = config.Load("")
	assert.ErrorContains(t, err, "is empty")
}

func TestTypes(t *testing.T) {
	inEmptyDirectory(t)
	c, err := load(t, `
trusted_proxies: [10.1.2.3/8, "::1"]
session: {idle: 1d12h, absolute: 30d}
oauth: {refresh_grace: 0}
limits: {body: 512KiB}
throttle: {per_address_rate: 0.5}
smtp:
admin: {password: 12345678}
`)
	require.NoError(t, err)
	assert.Equal(t, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}, c.TrustedProxies)
	assert.Equal(t, 36*time.Hour, c.Session.Idle)
	assert.Zero(t, c.OAuth.RefreshGrace)
	assert.Equal(t, config.Bytes(512<<10), c.Limits.Body)
	assert.Equal(t, 0.5, c.Throttle.PerAddressRate)
	assert.Equal(t, config.Secret("12345678"), c.Admin.Password)
	assert.Equal(t, 587, c.SMTP.Port)
}

// Every key takes its value from a variable, whatever its type: the value is either in force or refused by name.
func TestEveryKeyIsParsed(t *testing.T) {
	inEmptyDirectory(t)
	defaults, err := config.Load("")
	require.NoError(t, err)
	all := map[string]bool{}
	keys(reflect.TypeFor[config.Config](), "", all)
	for key := range all {
		t.Run(key, func(t *testing.T) {
			t.Setenv("AUTH_"+strings.ToUpper(strings.ReplaceAll(key, ".", "_")), "~")
			c, err := config.Load("")
			if err != nil {
				assert.ErrorContains(t, err, key)
				assert.NotContains(t, err.Error(), "nobody parses")
				return
			}
			assert.NotEqual(t, defaults, c)
		})
	}
}

// A configuration ends up in logs and bug reports; its secrets must not (OWASP ASVS 7.1.1).
func TestSecretsAreNotPrinted(t *testing.T) {
	inEmptyDirectory(t)
	c, err := load(t, "secret: "+strongSecret+"\nprevious_secrets: [hunter2-hunter2]\nadmin: {password: hunter2-hunter2}\n"+
		"smtp: {host: m, from: a@b.example, user: u, pass: hunter2}\ndatabase: {url: 'postgres://u:hunter2@h/d'}")
	require.NoError(t, err)
	asJSON, err := json.Marshal(c)
	require.NoError(t, err)
	for _, printed := range []string{c.String(), fmt.Sprintf("%v", *c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", *c), string(asJSON)} {
		assert.NotContains(t, printed, "hunter2")
		assert.NotContains(t, printed, strongSecret)
	}
	assert.Contains(t, c.String(), "secret: [hidden]\n")
	assert.Contains(t, c.String(), "database.url: postgres://u:xxxxx@h/d\n")
	assert.Contains(t, c.String(), "oauth.code_lifetime: 1m0s\n")
}

func TestDevelopmentSecret(t *testing.T) {
	inEmptyDirectory(t)
	const starts = 8
	got := make([]config.Secret, starts)
	var wg sync.WaitGroup
	for i := range starts {
		wg.Go(func() {
			c, err := config.Load("")
			if assert.NoError(t, err) && assert.NoError(t, c.EnsureSecret()) {
				got[i] = c.Secret
			}
		})
	}
	wg.Wait()
	for _, s := range got {
		assert.Equal(t, got[0], s, "starts at the same moment agree on one secret")
	}
	assert.GreaterOrEqual(t, len(got[0]), 32)
	info, err := os.Stat("data/secret")
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	left, err := filepath.Glob("data/*")
	require.NoError(t, err)
	assert.Equal(t, []string{"data/secret"}, left)

	require.NoError(t, os.WriteFile("data/secret", []byte("short"), 0o600))
	c, err := config.Load("")
	require.NoError(t, err)
	assert.ErrorContains(t, c.EnsureSecret(), "shorter than 32")
}
