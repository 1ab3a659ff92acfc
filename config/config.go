// Package config reads the configuration file and the environment once, at start, into one typed and validated Config.
// Nothing outside knows viper or environment variables. config.example.yaml explains every key. Start with Load.
package config

import (
	"net/netip"
	"time"
)

// Config is every setting. A key's path in the file is made of the tags: oauth.code_lifetime.
type Config struct {
	Environment string `key:"environment"` // Development or Production
	PublicURL   string `key:"public_url"`  // an origin, without a slash at the end
	Listen      struct {
		Host string `key:"host"`
		Port int    `key:"port"`
	} `key:"listen"`
	DataDir string `key:"data_dir"`
	App     struct {
		Name    string `key:"name"`
		LogoURL string `key:"logo_url"`
	} `key:"app"`

	Secret              Secret   `key:"secret"` // empty in development until EnsureSecret
	SecretFile          string   `key:"secret_file"`
	PreviousSecrets     []Secret `key:"previous_secrets"`
	PreviousSecretsFile string   `key:"previous_secrets_file"`

	Database       Database       `key:"database"`
	Admin          Admin          `key:"admin"`
	CORSOrigins    []string       `key:"cors_origins"`
	TrustedProxies []netip.Prefix `key:"trusted_proxies"`
	SMTP           SMTP           `key:"smtp"`
	SignUp         struct {
		Enabled bool `key:"enabled"`
	} `key:"sign_up"`
	Session  Session  `key:"session"`
	Password Password `key:"password"`
	Throttle Throttle `key:"throttle"`
	OAuth    OAuth    `key:"oauth"`

	Organizations Organizations `key:"organizations"`
	Consumption   Consumption   `key:"consumption"`
	Outgoing      Outgoing      `key:"outgoing"`

	Log struct {
		Level  string `key:"level"`
		Format string `key:"format"`
	} `key:"log"`
	Limits struct {
		Body Bytes `key:"body"`
	} `key:"limits"`
	ShutdownTimeout time.Duration `key:"shutdown_timeout"`

	// Warnings are things that work but that the operator should hear about at start.
	Warnings []string
}

// Database says where the rows are. After Load, URL is always set.
type Database struct {
	URL               Secret        `key:"url"` // may hold a password
	URLFile           string        `key:"url_file"`
	Host              string        `key:"host"`
	Port              int           `key:"port"`
	User              string        `key:"user"`
	Password          Secret        `key:"password"`
	PasswordFile      string        `key:"password_file"`
	Name              string        `key:"name"`
	SSLMode           string        `key:"sslmode"`
	MaxConnections    int           `key:"max_connections"`
	ConnectTimeout    time.Duration `key:"connect_timeout"`
	SQLiteSynchronous string        `key:"sqlite_synchronous"`
}

// Admin is the superadmin that the first start makes.
type Admin struct {
	Email        string `key:"email"`
	Password     Secret `key:"password"` // empty: one is generated and printed once
	PasswordFile string `key:"password_file"`
}

// SMTP is the mail server. Without a Host no mail is sent.
type SMTP struct {
	Host     string `key:"host"`
	Port     int    `key:"port"`
	User     string `key:"user"`
	Pass     Secret `key:"pass"`
	PassFile string `key:"pass_file"`
	From     string `key:"from"`
}

// Session is the life of a browser session.
type Session struct {
	Idle     time.Duration `key:"idle"`
	Absolute time.Duration `key:"absolute"`
	Short    time.Duration `key:"short"`
	Touch    time.Duration `key:"touch"`
}

// Password holds the rules for passwords and the cost of their hashes.
type Password struct {
	MinLength int `key:"min_length"`
	MaxLength int `key:"max_length"`
	Argon2    struct {
		MemoryKiB   int `key:"memory_kib"`
		Iterations  int `key:"iterations"`
		Parallelism int `key:"parallelism"`
	} `key:"argon2"`
	Concurrency  int           `key:"concurrency"`
	Queue        int           `key:"queue"`
	QueueTimeout time.Duration `key:"queue_timeout"`
}

// Throttle slows down guessing.
type Throttle struct {
	FreeAttempts    int           `key:"free_attempts"`
	BaseDelay       time.Duration `key:"base_delay"`
	MaxDelay        time.Duration `key:"max_delay"`
	Window          time.Duration `key:"window"`
	PerAddressRate  float64       `key:"per_address_rate"` // per second
	PerAddressBurst int           `key:"per_address_burst"`
}

// OAuth holds the lifetimes of what clients are given.
type OAuth struct {
	CodeLifetime         time.Duration `key:"code_lifetime"`
	AccessTokenLifetime  time.Duration `key:"access_token_lifetime"`
	IDTokenLifetime      time.Duration `key:"id_token_lifetime"`
	RefreshTokenIdle     time.Duration `key:"refresh_token_idle"`
	RefreshTokenAbsolute time.Duration `key:"refresh_token_absolute"`
	RefreshGrace         time.Duration `key:"refresh_grace"`
	RequestLifetime      time.Duration `key:"request_lifetime"`
	KeyRotation          time.Duration `key:"key_rotation"`
	KeyRetention         time.Duration `key:"key_retention"`
}

// Organizations says who manages them, and how large they get.
type Organizations struct {
	SelfService        bool          `key:"self_service"`
	MaxMembers         int           `key:"max_members"`
	MaxInvitations     int           `key:"max_invitations"`
	InvitationLifetime time.Duration `key:"invitation_lifetime"`
}

// Consumption says when a use may be recorded, and for how long it is kept one by one.
type Consumption struct {
	Retention       time.Duration `key:"retention"`
	HourlyRetention time.Duration `key:"hourly_retention"`
	MaxAge          time.Duration `key:"max_age"`
	MaxSkew         time.Duration `key:"max_skew"`
}

// Outgoing says where requests may go whose address somebody else chose.
type Outgoing struct {
	Timeout         time.Duration  `key:"timeout"`
	AllowedNetworks []netip.Prefix `key:"allowed_networks"`
}

// The two environments. Development makes its own secret and allows http.
const (
	Development = "development"
	Production  = "production"
)

const day = 24 * time.Hour

// Default is the configuration when nothing is set. It is what config.example.yaml spells out.
func Default() *Config {
	c := &Config{Environment: Development, PublicURL: "http://localhost:3001", DataDir: "./data", ShutdownTimeout: 15 * time.Second}
	c.Listen.Port = 3001
	c.App.Name = "CIRCLE Auth"
	c.Database = Database{
		Port: 5432, Name: "auth", SSLMode: "prefer",
		MaxConnections: 20, ConnectTimeout: time.Minute, SQLiteSynchronous: "full",
	}
	c.Admin.Email = "admin@example.com"
	c.SMTP.Port = 587
	c.SignUp.Enabled = true
	c.Session = Session{Idle: 7 * day, Absolute: 30 * day, Short: day, Touch: time.Minute}
	c.Password = Password{MinLength: 8, MaxLength: 128, Queue: 64, QueueTimeout: 10 * time.Second}
	c.Password.Argon2.MemoryKiB, c.Password.Argon2.Iterations, c.Password.Argon2.Parallelism = 19456, 2, 1
	c.Throttle = Throttle{
		FreeAttempts: 5, BaseDelay: time.Second, MaxDelay: 15 * time.Minute, Window: time.Hour,
		PerAddressRate: 1, PerAddressBurst: 30,
	}
	c.OAuth = OAuth{
		CodeLifetime: time.Minute, AccessTokenLifetime: 10 * time.Minute, IDTokenLifetime: time.Hour,
		RefreshTokenIdle: 30 * day, RefreshTokenAbsolute: 90 * day, RefreshGrace: 10 * time.Second, RequestLifetime: time.Hour,
		KeyRotation: 90 * day, KeyRetention: 30 * day,
	}
	c.Organizations = Organizations{SelfService: true, MaxMembers: 1000, MaxInvitations: 100, InvitationLifetime: 2 * day}
	c.Consumption = Consumption{Retention: 400 * day, HourlyRetention: 90 * day, MaxAge: 7 * day, MaxSkew: 5 * time.Minute}
	c.Outgoing.Timeout = 10 * time.Second
	c.Log.Level = "info"
	c.Limits.Body = 1 << 20
	return c
}

// Issuer is the `iss` of every token.
func (c *Config) Issuer() string { return c.PublicURL + "/api/auth" }

// Production reports whether this is not somebody's own machine.
func (c *Config) Production() bool { return c.Environment == Production }
