package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/viper"
)

// aliases are the variables of the service that this one replaces.
var aliases = map[string][]string{
	"environment": {"NODE_ENV"}, "public_url": {"BETTER_AUTH_URL"}, "listen.host": {"HOST"}, "listen.port": {"PORT"},
	"app.name": {"APP_NAME"}, "app.logo_url": {"APP_LOGO_URL"},
	"secret": {"BETTER_AUTH_SECRET"}, "secret_file": {"BETTER_AUTH_SECRET_FILE"},
	"database.url": {"DATABASE_URL"}, "database.url_file": {"DATABASE_URL_FILE"},
	"database.host": {"POSTGRES_HOST"}, "database.port": {"POSTGRES_PORT"}, "database.user": {"POSTGRES_USER"},
	"database.password": {"POSTGRES_PASSWORD"}, "database.password_file": {"POSTGRES_PASSWORD_FILE"},
	"database.name": {"POSTGRES_DB"}, "database.sslmode": {"POSTGRES_SSLMODE"},
	"admin.email": {"ADMIN_EMAIL"}, "admin.password": {"ADMIN_PASSWORD"}, "admin.password_file": {"ADMIN_PASSWORD_FILE"},
	"cors_origins": {"CORS_ORIGINS"},
	"smtp.host":    {"SMTP_HOST"}, "smtp.port": {"SMTP_PORT"}, "smtp.user": {"SMTP_USER"}, "smtp.pass": {"SMTP_PASS"},
	"smtp.pass_file": {"SMTP_PASS_FILE"}, "smtp.from": {"SMTP_FROM"},
}

// defaultFile is read when it exists and no other is named.
const defaultFile = "config.yaml"

// Invalid lists everything that is wrong with the configuration, so that an operator mends it in one go.
type Invalid struct{ Faults []string }

func (e *Invalid) Error() string {
	return "the configuration cannot be used:\n  - " + strings.Join(e.Faults, "\n  - ")
}

// loader collects what is wrong while the sources are read.
type loader struct {
	viper  *viper.Viper
	config *Config
	leaves []leaf
	faults []string
}

func (l *loader) fault(key, format string, args ...any) {
	l.faults = append(l.faults, key+": "+fmt.Sprintf(format, args...))
}

// Load reads the file at path, or ./config.yaml if path is empty and there is one, and lets the environment override it:
// oauth.code_lifetime is AUTH_OAUTH_CODE_LIFETIME. Any fault is an *Invalid that names them all.
func Load(path string) (*Config, error) {
	l := &loader{viper: viper.New(), config: Default()}
	l.leaves = leavesOf(l.config)
	if err := l.readFile(path); err != nil {
		return nil, err
	}
	l.checkKeys()
	l.checkVariables()
	for _, f := range l.leaves {
		l.set(f)
	}
	l.readSecretFiles()
	l.derive()
	l.validate()
	if len(l.faults) > 0 {
		slices.Sort(l.faults)
		return nil, &Invalid{Faults: slices.Compact(l.faults)}
	}
	return l.config, nil
}

func (l *loader) readFile(path string) error {
	required := path != ""
	if !required {
		path = defaultFile
	}
	l.viper.SetConfigFile(path)
	l.viper.SetConfigType("yaml")
	err := l.viper.ReadInConfig()
	if errors.Is(err, fs.ErrNotExist) && !required {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the configuration file %s: %w", path, err)
	}
	return nil
}

// set gives a field its value: from the environment, else from the file, else the default stays.
func (l *loader) set(f leaf) {
	raw, source := l.raw(f.key)
	if raw == nil {
		return
	}
	if err := f.parse(raw); err != nil {
		if source != "" {
			source = " (from " + source + ")"
		}
		l.fault(f.key, "%s%s", err, source)
	}
}

// raw finds a key's value and names the variable it comes from, if it comes from one. An empty variable is an unset one,
// because that is how compose files pass what nobody set.
func (l *loader) raw(key string) (value any, variable string) {
	for _, name := range variables(key) {
		if text := os.Getenv(name); text != "" {
			return text, name
		}
	}
	if !l.viper.InConfig(key) {
		return nil, ""
	}
	return l.viper.Get(key), ""
}

// variables are the environment variables of a key, the strongest first.
func variables(key string) []string {
	own := "AUTH_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
	return append([]string{own}, aliases[key]...)
}

// checkKeys finds keys in the file that no setting has: a misspelt key is a fault, not a silent default.
func (l *loader) checkKeys() {
	known := map[string]bool{}
	var names []string
	for _, f := range l.leaves {
		known[f.key] = true
		names = append(names, f.key)
	}
	for _, key := range l.viper.AllKeys() {
		if known[key] || l.viper.Get(key) == nil { // "smtp:" with nothing below is fine
			continue
		}
		if slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, key+".") }) {
			l.fault(key, "needs keys below it, not a value")
			continue
		}
		l.fault(key, "there is no such setting%s", didYouMean(key, names))
	}
}

// checkVariables finds AUTH_ variables that are probably misspelt. Others use this prefix too, so a strange one is no fault.
func (l *loader) checkVariables() {
	known := map[string]bool{"AUTH_CONFIG": true}
	var names []string
	for _, f := range l.leaves {
		known[variables(f.key)[0]] = true
		names = append(names, variables(f.key)[0])
	}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "AUTH_") || known[name] {
			continue
		}
		if hint := didYouMean(name, names); hint != "" {
			l.fault(name, "there is no such variable%s", hint)
		} else {
			l.config.Warnings = append(l.config.Warnings, name+" is set in the environment but names no setting")
		}
	}
}

// didYouMean names the nearest of names, if one is near.
func didYouMean(got string, names []string) string {
	best, bestDistance := "", 1+len(got)/4
	for _, name := range names {
		d := distance(got, name)
		if d < bestDistance || d == bestDistance && best == "" {
			best, bestDistance = name, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
