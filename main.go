// Command auth-service is a self-hosted OAuth 2.1 authorization server and OpenID provider. This package is its wiring:
// commands, configuration and the HTTP server. Start with run, which builds everything in plain sight.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"

	"auth-service/account"
	"auth-service/admin"
	"auth-service/config"
	"auth-service/consumption"
	"auth-service/oauth"
	"auth-service/outgoing"
	"auth-service/problem"
	"auth-service/store"
	"auth-service/ui"
)

// version is set by the linker: -X main.version=….
var version = "dev"

func main() {
	collectLess()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	c := &cli{in: os.Stdin, out: os.Stdout, err: os.Stderr}
	if err := c.command().ExecuteContext(ctx); err != nil {
		if !errors.As(err, new(exitStatus)) {
			fmt.Fprintln(os.Stderr, "auth-service: "+explain(err))
		}
		os.Exit(exitCode(err))
	}
}

// collectLess lets garbage grow to twice what lives before it is collected, unless the environment says otherwise. So little lives
// here that by Go's default a quarter of the CPU under load goes into looking at it again and again.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
}

// explain puts an error into the words that an operator can act upon.
func explain(err error) string {
	var p *problem.Error
	if !errors.As(err, &p) || p.Status >= 500 {
		return err.Error()
	}
	if len(p.Fields) == 0 {
		return p.Detail
	}
	return strings.Join(byField(p.Fields), "\n")
}

// byField returns the sentences, each after the field that it is about.
func byField(sentences map[string]string) []string {
	var lines []string
	for _, field := range slices.Sorted(maps.Keys(sentences)) {
		lines = append(lines, field+": "+sentences[field])
	}
	return lines
}

// run serves until ctx ends and then waits for the requests that are being answered. ready is called with the address
// that it listens on. out is for what a person must read once.
func run(ctx context.Context, cfg *config.Config, out, logs io.Writer, ready func(address string)) error {
	started := time.Now()
	log := newLogger(cfg, logs)
	for _, warning := range cfg.Warnings {
		log.Warn().Msg(warning)
	}
	db, keyring, err := open(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	listener, err := listen(ctx, cfg)
	if err != nil {
		return err
	}
	defer listener.Close()

	counters := &store.Counters{Store: db}
	people := newPeople(cfg, db, keyring, counters, log)
	if err := ensureSuperadmin(ctx, people, cfg, out, log); err != nil {
		return err
	}
	provider, err := newProvider(ctx, cfg, db, keyring, people, log)
	if err != nil {
		return err
	}
	outside := outgoing.New(outgoing.Options{Timeout: cfg.Outgoing.Timeout, AllowedNetworks: cfg.Outgoing.AllowedNetworks})
	operators := &admin.Handler{
		Store: db, People: people, Organizations: people, Sessions: people.Sessions, Tokens: provider,
		SameOrigin: people.Origins.SameOrigin, PublicURL: cfg.PublicURL, WebhookFault: outside.Fault, Now: time.Now, Log: log,
	}
	webhooks := &consumption.Webhooks{
		Store: db, Client: outside, Timeout: cfg.Outgoing.Timeout, Poll: 3 * time.Second, Grace: 5 * time.Second, Now: time.Now, Log: log,
	}
	pages := &ui.Handler{Dist: ui.Dist(), HTTPS: https(cfg)}
	usage := &consumption.Service{
		Store: db, MaxAge: cfg.Consumption.MaxAge, MaxSkew: cfg.Consumption.MaxSkew, Now: time.Now, Log: log,
	}
	applications := &consumption.Handler{
		Service: usage, Store: db, Sessions: people.Sessions, Tokens: provider, SameOrigin: people.Origins.SameOrigin,
		Retention: cfg.Consumption.Retention, HourlyRetention: cfg.Consumption.HourlyRetention, Now: time.Now, Log: log,
	}
	health := &health{Store: db, Started: started}

	e := newRouter(cfg, log)
	e.Use(guard(people.Origins))
	api := problem.NewAPI(e, cfg.App.Name, version)
	people.Mount(e, api)
	provider.Mount(e)
	operators.Mount(api)
	applications.Mount(api)
	health.Mount(e)
	pages.Mount(e)
	admin.DescribeOAuth(api)
	(&admin.Document{API: api}).Mount(e)

	background, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { provider.Run(background) })
	recording, stopRecording := context.WithCancel(context.WithoutCancel(ctx)) // until the last request has its answer
	running.Go(func() { usage.Run(recording) })
	keep := store.Retention{Records: cfg.Consumption.Retention, Hours: cfg.Consumption.HourlyRetention}
	running.Go(func() { reap(background, db, keep, log) })
	running.Go(func() { webhooks.Run(background) })
	running.Go(func() { flushCounters(background, counters, log) })
	defer flushLast(ctx, counters, log) // when nothing counts any more
	defer running.Wait()
	defer stop()
	defer stopRecording()

	log.Info().Str("version", version).Str("address", listener.Addr().String()).Str("public_url", cfg.PublicURL).
		Str("database", db.Dialect()).Int64("took_ms", time.Since(started).Milliseconds()).Msg("listening")
	ready(listener.Addr().String())
	return serve(ctx, newServer(e, log), listener, cfg.ShutdownTimeout, log)
}

// open connects to the database, with the secret that seals parts of it.
func open(ctx context.Context, cfg *config.Config, log zerolog.Logger) (*store.Store, *store.Keyring, error) {
	if err := cfg.EnsureSecret(); err != nil {
		return nil, nil, err
	}
	previous := make([]string, len(cfg.PreviousSecrets))
	for i, secret := range cfg.PreviousSecrets {
		previous[i] = string(secret)
	}
	keyring := store.NewKeyring(string(cfg.Secret), previous...)
	db, err := store.Open(ctx, store.Options{
		URL: string(cfg.Database.URL), MaxConnections: cfg.Database.MaxConnections, Synchronous: cfg.Database.SQLiteSynchronous,
		ConnectTimeout: cfg.Database.ConnectTimeout, Keyring: keyring, Now: time.Now, Log: log,
	})
	return db, keyring, err
}

// newPeople builds the account service, which the commands use, too.
func newPeople(cfg *config.Config, db *store.Store, keyring *store.Keyring, counters *store.Counters, log zerolog.Logger) *account.Service {
	return &account.Service{
		Store: db,
		Sessions: &account.Sessions{
			Store: db, Secure: https(cfg), Idle: cfg.Session.Idle, Absolute: cfg.Session.Absolute, Short: cfg.Session.Short,
			Touch: cfg.Session.Touch, Counters: counters, Now: time.Now, Log: log,
		},
		Hasher: &account.Hasher{
			Argon2: account.Argon2{
				MemoryKiB: uint32(cfg.Password.Argon2.MemoryKiB), Iterations: uint32(cfg.Password.Argon2.Iterations),
				Parallelism: uint8(cfg.Password.Argon2.Parallelism),
			},
			Concurrency: cfg.Password.Concurrency, Queue: cfg.Password.Queue, QueueTimeout: cfg.Password.QueueTimeout,
		},
		Policy: account.PasswordPolicy{MinLength: cfg.Password.MinLength, MaxLength: cfg.Password.MaxLength},
		Throttle: &account.Throttle{
			Store: db,
			ThrottlePolicy: store.ThrottlePolicy{
				Free: cfg.Throttle.FreeAttempts, Base: cfg.Throttle.BaseDelay, Max: cfg.Throttle.MaxDelay, Window: cfg.Throttle.Window,
			},
			Addresses: &account.AddressLimiter{Rate: cfg.Throttle.PerAddressRate, Burst: cfg.Throttle.PerAddressBurst, Now: time.Now},
			Now:       time.Now,
		},
		Devices: &account.Devices{Keyring: keyring, Secure: https(cfg)},
		Origins: &account.Origins{PublicURL: cfg.PublicURL, Trusted: cfg.CORSOrigins, Exempt: oauthEndpoints},
		Organizations: account.OrganizationPolicy{
			SelfService: cfg.Organizations.SelfService, MaxMembers: cfg.Organizations.MaxMembers,
			MaxInvitations: cfg.Organizations.MaxInvitations, InvitationLifetime: cfg.Organizations.InvitationLifetime,
		},
		Counters:      counters,
		SignUpEnabled: cfg.SignUp.Enabled, AppName: cfg.App.Name, LogoURL: cfg.App.LogoURL,
		Issuer: cfg.Issuer(), Version: version, Now: time.Now, Log: log,
	}
}

// newProvider builds the OAuth server and loads its keys, or makes them on the first start.
func newProvider(ctx context.Context, cfg *config.Config, db *store.Store, keyring *store.Keyring, people *account.Service, log zerolog.Logger) (*oauth.Provider, error) {
	return oauth.New(ctx, oauth.Options{
		PublicURL: cfg.PublicURL, CORSOrigins: cfg.CORSOrigins, RefreshGrace: cfg.OAuth.RefreshGrace,
		Lifetimes: oauth.Lifetimes{
			Code: cfg.OAuth.CodeLifetime, AccessToken: cfg.OAuth.AccessTokenLifetime, IDToken: cfg.OAuth.IDTokenLifetime,
			RefreshIdle: cfg.OAuth.RefreshTokenIdle, RefreshAbsolute: cfg.OAuth.RefreshTokenAbsolute, Request: cfg.OAuth.RequestLifetime,
		},
		Keys:  oauth.KeyPolicy{Rotation: cfg.OAuth.KeyRotation, Retention: cfg.OAuth.KeyRetention},
		Store: db, Keyring: keyring, Sessions: people.Sessions, Counters: people.Counters, SameOrigin: people.Origins.SameOrigin, Now: time.Now, Log: log,
	})
}

func https(cfg *config.Config) bool { return strings.HasPrefix(cfg.PublicURL, "https://") }

// listen opens the port. Port 0 takes a free one, which a public URL that was derived from it has to follow.
func listen(ctx context.Context, cfg *config.Config) (net.Listener, error) {
	address := net.JoinHostPort(cfg.Listen.Host, strconv.Itoa(cfg.Listen.Port))
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	if base, ok := strings.CutSuffix(cfg.PublicURL, ":0"); ok {
		_, port, _ := net.SplitHostPort(listener.Addr().String()) // the address of a TCP listener has a port
		cfg.PublicURL = base + ":" + port
	}
	return listener, nil
}

// reap deletes dead rows until ctx ends, at intervals that differ, so that replicas keep out of each other's way.
func reap(ctx context.Context, db *store.Store, keep store.Retention, log zerolog.Logger) {
	const every = 10 * time.Minute
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(every/2 + rand.N(every)):
		}
		if err := db.Reap(ctx, keep); err != nil && ctx.Err() == nil {
			log.Warn().Err(err).Msg("dead rows could not be deleted; tried again later")
		}
	}
}

// flushCounters writes the statistics every ten seconds until ctx ends.
func flushCounters(ctx context.Context, counters *store.Counters, log zerolog.Logger) {
	ticker := time.NewTicker(10 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := counters.Flush(ctx); err != nil && ctx.Err() == nil {
			log.Warn().Err(err).Msg("statistics could not be written; tried again later")
		}
	}
}

// flushLast writes what was counted since, for so long as a stop can wait for figures.
func flushLast(ctx context.Context, counters *store.Counters, log zerolog.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := counters.Flush(ctx); err != nil {
		log.Warn().Err(err).Msg("the last statistics could not be written")
	}
}

// newServer bounds what a slow or greedy caller can hold on to.
func newServer(e *echo.Echo, log zerolog.Logger) *http.Server {
	return &http.Server{
		Handler: e, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: requestTimeout + 30*time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, ErrorLog: httpErrorLog(log),
	}
}

// serve answers until ctx ends, then lets running requests finish for as long as timeout.
func serve(ctx context.Context, server *http.Server, listener net.Listener, timeout time.Duration, log zerolog.Logger) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	log.Info().Stringer("timeout", timeout).Msg("stopping; waiting for running requests")
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		server.Close()
		return fmt.Errorf("some requests were still running after %s and were cut off: %w", timeout, err)
	}
	log.Info().Msg("stopped")
	return nil
}
