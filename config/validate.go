package config

import (
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// derive fills what follows from other settings.
func (l *loader) derive() {
	c := l.config
	if raw, _ := l.raw("public_url"); raw == nil {
		c.PublicURL = "http://localhost:" + strconv.Itoa(c.Listen.Port)
	}
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	if c.Listen.Host == "" && !c.Production() {
		c.Listen.Host = "127.0.0.1" // a service in development is nobody else's business
	}
	if c.Log.Format == "" {
		c.Log.Format = "console"
		if c.Production() {
			c.Log.Format = "json"
		}
	}
	if c.Database.URL == "" {
		c.Database.URL = Secret("sqlite:" + filepath.Join(c.DataDir, "auth.db"))
		if c.Database.Host != "" {
			c.Database.URL = Secret(c.Database.postgresURL())
		}
	}
}

// postgresURL puts the parts together. The host may be a list for failover ("a,b:5433") or the directory of a socket.
func (d *Database) postgresURL() string {
	query := url.Values{"sslmode": {d.SSLMode}}
	u := url.URL{Scheme: "postgres", Path: "/" + d.Name}
	if d.User != "" {
		u.User = url.User(d.User)
		if d.Password != "" {
			u.User = url.UserPassword(d.User, string(d.Password))
		}
	}
	if strings.HasPrefix(d.Host, "/") {
		query.Set("host", d.Host)
		query.Set("port", strconv.Itoa(d.Port))
	} else {
		var hosts []string
		for host := range strings.SplitSeq(d.Host, ",") {
			host = strings.TrimSpace(host)
			if _, _, err := net.SplitHostPort(host); err != nil {
				host = net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(d.Port))
			}
			hosts = append(hosts, host)
		}
		u.Host = strings.Join(hosts, ",")
	}
	u.RawQuery = query.Encode()
	return u.String()
}

func (l *loader) validate() {
	l.validateAddresses()
	l.validateSecrets()
	l.validateDatabase()
	l.validatePeople()
	l.validateLimits()
	l.validateLifetimes()
}

func (l *loader) oneOf(key, value string, allowed ...string) {
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	l.fault(key, "must be one of %s", strings.Join(allowed, ", "))
}

func (l *loader) between(key string, value, low, high int) {
	if value < low || value > high {
		l.fault(key, "must be between %d and %d", low, high)
	}
}

func (l *loader) validateAddresses() {
	c := l.config
	l.oneOf("environment", c.Environment, Development, Production)
	if u := l.origin("public_url", c.PublicURL); u != nil && c.Production() && u.Scheme != "https" && !loopback(u.Hostname()) {
		l.fault("public_url", "must begin with https:// in production")
	}
	if raw, _ := l.raw("public_url"); raw == nil && c.Production() {
		c.Warnings = append(c.Warnings, "public_url is not set: only this machine can use the server, as "+c.PublicURL)
	}
	if host := c.Listen.Host; strings.ContainsAny(host, "/ []") || strings.Contains(host, ":") && !isIP(host) {
		l.fault("listen.host", "must be an address or a host name, without a port")
	}
	l.between("listen.port", c.Listen.Port, 0, 65535)
	if logo := c.App.LogoURL; logo != "" {
		u, err := url.Parse(logo)
		local := err == nil && u.Scheme == "" && u.Host == "" && strings.HasPrefix(logo, "/")
		if !local && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "") {
			l.fault("app.logo_url", "must be an http(s) URL or a path that begins with /")
		}
	}
	if c.App.Name == "" || utf8.RuneCountInString(c.App.Name) > 100 {
		l.fault("app.name", "must have between 1 and 100 characters")
	}
	for _, origin := range c.CORSOrigins {
		l.origin("cors_origins", origin)
	}
	for _, p := range c.TrustedProxies {
		if p.Bits() == 0 {
			l.fault("trusted_proxies", "%s would let everybody choose the address they are seen with", p)
		}
	}
	for _, p := range c.Outgoing.AllowedNetworks {
		if p.Bits() == 0 {
			l.fault("outgoing.allowed_networks", "%s would open every network that this machine is in", p)
		}
	}
	if c.DataDir == "" {
		l.fault("data_dir", "must not be empty")
	}
}

// origin checks for scheme://host[:port] with nothing after it.
func (l *loader) origin(key, s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.Scheme+"://"+u.Host != s {
		l.fault(key, "must be an origin such as https://auth.example.com, without a path and without * (see config.example.yaml)")
		return nil
	}
	if u.Host != strings.ToLower(u.Host) {
		l.fault(key, "must be in lower case")
	}
	return u
}

func isIP(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

func (l *loader) validateSecrets() {
	c := l.config
	switch {
	case c.Secret == "" && c.Production():
		if l.rank("secret_file") == 0 { // else its own fault is listed
			l.fault("secret", "production needs one: set secret or secret_file to the output of `openssl rand -base64 48`")
		}
	case c.Secret != "" && len(c.Secret) < minSecret:
		l.fault("secret", "must have at least %d characters", minSecret)
	case c.Secret != "" && c.Production() && weak(string(c.Secret)):
		l.fault("secret", "can be guessed: use the output of `openssl rand -base64 48`")
	}
	for _, previous := range c.PreviousSecrets {
		if previous == c.Secret {
			l.fault("previous_secrets", "must not hold the current secret")
		}
	}
}

// weak recognizes placeholders and repetitions, which length alone lets pass. It is no measure of randomness.
func weak(secret string) bool {
	lower := strings.ToLower(secret)
	for _, word := range []string{"secret", "password", "changeme", "change-me", "change_me", "example", "better-auth", "0123456789", "abcdefgh"} {
		if strings.Contains(lower, word) {
			return true
		}
	}
	distinct := map[rune]bool{}
	for _, r := range secret {
		distinct[r] = true
	}
	return len(distinct) < 10
}

func (l *loader) validateDatabase() {
	d := l.config.Database
	scheme, rest, _ := strings.Cut(string(d.URL), ":")
	switch scheme {
	case "postgres", "postgresql":
		if _, err := url.Parse(string(d.URL)); err != nil || !strings.HasPrefix(rest, "//") {
			l.fault("database.url", "is not a URL; special characters in the password must be percent-encoded, or use database.host and its neighbours") // no cause: it repeats the URL
		}
	case "sqlite":
		if strings.Trim(rest, "/") == "" {
			l.fault("database.url", "sqlite: needs a path")
		}
	default:
		l.fault("database.url", "must begin with postgres:// or sqlite:")
	}
	if l.rank("database.url") == 0 && l.rank("database.url_file") == 0 && d.Host == "" {
		for _, key := range []string{"database.user", "database.password", "database.password_file"} {
			if l.rank(key) > 0 {
				l.fault("database.host", "is missing although %s is set; without it the embedded database would be used", key)
				break
			}
		}
	}
	l.between("database.port", d.Port, 1, 65535)
	l.between("database.max_connections", d.MaxConnections, 1, 1000)
	l.oneOf("database.sslmode", d.SSLMode, "disable", "allow", "prefer", "require", "verify-ca", "verify-full")
	l.oneOf("database.sqlite_synchronous", d.SQLiteSynchronous, "full", "normal")
}

func (l *loader) validatePeople() {
	c := l.config
	if a, err := mail.ParseAddress(c.Admin.Email); err != nil || a.Address != c.Admin.Email {
		l.fault("admin.email", "must be an e-mail address")
	}
	if n := utf8.RuneCountInString(string(c.Admin.Password)); n > 0 && (n < c.Password.MinLength || n > c.Password.MaxLength) {
		l.fault("admin.password", "must have between %d and %d characters", c.Password.MinLength, c.Password.MaxLength)
	}
	if c.SMTP.Host == "" {
		if c.SMTP.User != "" || c.SMTP.Pass != "" || c.SMTP.From != "" {
			l.config.Warnings = append(l.config.Warnings, "smtp has settings but no smtp.host: no mail will be sent")
		}
		return
	}
	l.between("smtp.port", c.SMTP.Port, 1, 65535)
	if _, err := mail.ParseAddress(c.SMTP.From); err != nil {
		l.fault("smtp.from", `must be an address such as "Example <no-reply@example.com>" when smtp.host is set`)
	}
	if (c.SMTP.User == "") != (c.SMTP.Pass == "") {
		l.fault("smtp.user", "and smtp.pass belong together")
	}
}

func (l *loader) validateLimits() {
	c := l.config
	l.between("password.min_length", c.Password.MinLength, 8, 64)
	l.between("password.max_length", c.Password.MaxLength, 64, 1024)
	leastMemory := 64
	if c.Production() {
		leastMemory = 7168 // the smallest that OWASP's Password Storage Cheat Sheet lists
	}
	a := c.Password.Argon2
	l.between("password.argon2.memory_kib", a.MemoryKiB, leastMemory, 4<<20)
	l.between("password.argon2.iterations", a.Iterations, 1, 100)
	l.between("password.argon2.parallelism", a.Parallelism, 1, 16)
	l.between("password.concurrency", c.Password.Concurrency, 0, 1024)
	l.between("password.queue", c.Password.Queue, 0, 100_000)
	l.between("throttle.free_attempts", c.Throttle.FreeAttempts, 1, 1000)
	l.between("throttle.per_address_burst", c.Throttle.PerAddressBurst, 1, 1_000_000)
	if r := c.Throttle.PerAddressRate; r <= 0 || r > 1_000_000 {
		l.fault("throttle.per_address_rate", "must be greater than 0")
	}
	l.between("organizations.max_members", c.Organizations.MaxMembers, 1, 100_000)
	l.between("organizations.max_invitations", c.Organizations.MaxInvitations, 1, 10_000)
	l.oneOf("log.level", c.Log.Level, "trace", "debug", "info", "warn", "error")
	l.oneOf("log.format", c.Log.Format, "json", "console")
	if c.Limits.Body < 16<<10 || c.Limits.Body > 64<<20 {
		l.fault("limits.body", "must be between 16KiB and 64MiB")
	}
}

func (l *loader) validateLifetimes() {
	c := l.config
	const year = 365 * day
	for _, d := range []struct {
		key       string
		value     time.Duration
		low, high time.Duration
	}{
		{"database.connect_timeout", c.Database.ConnectTimeout, 0, time.Hour},
		{"session.idle", c.Session.Idle, time.Minute, year},
		{"session.absolute", c.Session.Absolute, time.Minute, year},
		{"session.short", c.Session.Short, time.Minute, year},
		{"session.touch", c.Session.Touch, time.Second, day},
		{"password.queue_timeout", c.Password.QueueTimeout, time.Millisecond, time.Minute},
		{"throttle.base_delay", c.Throttle.BaseDelay, time.Millisecond, time.Hour},
		{"throttle.max_delay", c.Throttle.MaxDelay, time.Millisecond, day},
		{"throttle.window", c.Throttle.Window, time.Second, 30 * day},
		{"oauth.code_lifetime", c.OAuth.CodeLifetime, time.Second, 10 * time.Minute}, // RFC 6749 §4.1.2
		{"oauth.access_token_lifetime", c.OAuth.AccessTokenLifetime, 10 * time.Second, day},
		{"oauth.id_token_lifetime", c.OAuth.IDTokenLifetime, 10 * time.Second, day},
		{"oauth.refresh_token_idle", c.OAuth.RefreshTokenIdle, time.Minute, 10 * year},
		{"oauth.refresh_token_absolute", c.OAuth.RefreshTokenAbsolute, time.Minute, 10 * year},
		{"oauth.refresh_grace", c.OAuth.RefreshGrace, 0, 5 * time.Minute},
		{"oauth.request_lifetime", c.OAuth.RequestLifetime, time.Minute, day},
		{"oauth.key_rotation", c.OAuth.KeyRotation, time.Hour, 10 * year},
		{"oauth.key_retention", c.OAuth.KeyRetention, day, year}, // no token lives longer than a day, and a key must outlive its last
		{"organizations.invitation_lifetime", c.Organizations.InvitationLifetime, time.Minute, 30 * day},
		{"consumption.retention", c.Consumption.Retention, day, 20 * year},
		{"consumption.hourly_retention", c.Consumption.HourlyRetention, 2 * day, 20 * year},
		{"consumption.max_age", c.Consumption.MaxAge, time.Minute, year},
		{"consumption.max_skew", c.Consumption.MaxSkew, time.Second, time.Hour},
		{"outgoing.timeout", c.Outgoing.Timeout, 100 * time.Millisecond, time.Minute},
		{"shutdown_timeout", c.ShutdownTimeout, 0, 10 * time.Minute},
	} {
		if d.value < d.low || d.value > d.high {
			l.fault(d.key, "must be between %s and %s", d.low, d.high)
		}
	}
	l.ordered("session.idle", c.Session.Idle, "session.absolute", c.Session.Absolute)
	l.ordered("throttle.base_delay", c.Throttle.BaseDelay, "throttle.max_delay", c.Throttle.MaxDelay)
	l.ordered("consumption.max_age", c.Consumption.MaxAge, "consumption.retention", c.Consumption.Retention)
	l.ordered("consumption.max_age", c.Consumption.MaxAge, "consumption.hourly_retention", c.Consumption.HourlyRetention)
	l.ordered("oauth.refresh_token_idle", c.OAuth.RefreshTokenIdle, "oauth.refresh_token_absolute", c.OAuth.RefreshTokenAbsolute)
}

func (l *loader) ordered(lesser string, a time.Duration, greater string, b time.Duration) {
	if a > b {
		l.fault(lesser, "must not be longer than %s", greater)
	}
}
