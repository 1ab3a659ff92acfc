package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"auth-service/account"
	"auth-service/admin"
	"auth-service/config"
	"auth-service/store"
)

// cli is the command line.
type cli struct {
	in       io.Reader
	out, err io.Writer
	file     string
}

func (c *cli) command() *cobra.Command {
	root := &cobra.Command{
		Use: "auth-service", Short: "A self-hosted OAuth 2.1 authorization server and OpenID provider",
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true, RunE: c.serve,
	}
	root.PersistentFlags().StringVar(&c.file, "config", os.Getenv("AUTH_CONFIG"),
		"the configuration file; without it ./config.yaml, if there is one (AUTH_CONFIG)")
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.err)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		&cobra.Command{Use: "serve", Short: "Serve until stopped (the default)", Args: cobra.NoArgs, RunE: c.serve},
		c.migrateCommand(),
		group("user", "Manage people", c.userCreateCommand(), c.userListCommand(), c.userSetRoleCommand(), c.userImportCommand(), c.userExportCommand()),
		group("client", "Manage applications and their clients", c.clientCreateCommand()),
		c.applyCommand(), c.exportCommand(),
		group("keys", "Manage the keys that sign tokens",
			&cobra.Command{Use: "list", Short: "List the keys", Args: cobra.NoArgs, RunE: c.withStore(c.keysList)},
			c.keysRotateCommand()),
		group("config", "Look at the configuration",
			&cobra.Command{Use: "check", Short: "Show what is in force, without secrets, or everything that is wrong", Args: cobra.NoArgs, RunE: c.configCheck}),
		&cobra.Command{Use: "version", Short: "Show the version", Args: cobra.NoArgs, Run: func(cmd *cobra.Command, _ []string) { cmd.Println(version) }},
	)
	return root
}

func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	// It runs, if only to show its help, so that cobra refuses a subcommand that does not exist.
	g := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	g.AddCommand(commands...)
	return g
}

func (c *cli) serve(cmd *cobra.Command, _ []string) error {
	cfg, err := config.Load(c.file)
	if err != nil {
		return err
	}
	return run(cmd.Context(), cfg, c.out, c.err, func(string) {})
}

func (c *cli) configCheck(cmd *cobra.Command, _ []string) error {
	cfg, err := config.Load(c.file)
	if err != nil {
		return err
	}
	for _, warning := range cfg.Warnings {
		fmt.Fprintln(c.err, "warning: "+warning)
	}
	fmt.Fprint(c.out, cfg)
	return nil
}

// session is what most commands work with.
type session struct {
	context.Context
	*cobra.Command
	config  *config.Config
	db      *store.Store
	keyring *store.Keyring
	people  *account.Service
	log     zerolog.Logger
}

// withStore runs a command with an open database whose schema is current.
func (c *cli) withStore(do func(s *session, args []string) error) func(*cobra.Command, []string) error {
	return c.withDatabase(func(s *session, args []string) error {
		if err := s.db.Migrate(s); err != nil {
			return err
		}
		return do(s, args)
	})
}

func (c *cli) withDatabase(do func(s *session, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		cfg, err := config.Load(c.file)
		if err != nil {
			return err
		}
		log := newLogger(cfg, c.err).Level(zerolog.WarnLevel)
		db, keyring, err := open(cmd.Context(), cfg, log)
		if err != nil {
			return err
		}
		defer db.Close()
		return do(&session{cmd.Context(), cmd, cfg, db, keyring, newPeople(cfg, db, keyring, &store.Counters{Store: db}, log), log}, args)
	}
}

func (c *cli) migrateCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "migrate", Short: "Bring the database up to date, as serve does when it starts", Args: cobra.NoArgs}
	check := cmd.Flags().Bool("check", false, "change nothing; fail when something is pending")
	cmd.RunE = c.withDatabase(func(s *session, _ []string) error {
		pending, err := s.db.PendingMigrations(s)
		if err != nil {
			return err
		}
		for _, id := range pending {
			fmt.Fprintln(c.out, "pending: "+id)
		}
		if *check && len(pending) > 0 {
			return fmt.Errorf("%d migrations are pending", len(pending))
		}
		if *check || len(pending) == 0 {
			fmt.Fprintln(c.out, "the database is up to date")
			return nil
		}
		if err := s.db.Migrate(s); err != nil {
			return err
		}
		fmt.Fprintln(c.out, "migrated")
		return nil
	})
	return cmd
}

func (c *cli) userCreateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "create", Short: "Create a person", Args: cobra.NoArgs,
		Long: "Create a person. The password is asked for, or read from the first line of the standard input when that is no terminal.\n" +
			"It is never an argument, which other users of the machine could see.",
	}
	email := cmd.Flags().String("email", "", "the address to sign in with")
	name := cmd.Flags().String("name", "", "the name that others see (default: the part of the address before @)")
	role := cmd.Flags().String("role", store.RoleUser, "user, admin or superadmin")
	generate := cmd.Flags().Bool("generate-password", false, "make a password and print it")
	_ = cmd.MarkFlagRequired("email") // fails only for a flag that does not exist
	cmd.RunE = c.withStore(func(s *session, _ []string) error {
		password, err := generatePassword(), error(nil)
		if !*generate {
			password, err = c.askPassword()
		}
		if err != nil {
			return err
		}
		user, err := s.people.CreateUser(s, account.System(), account.NewUser{
			Email: *email, Name: nameOr(*name, *email), Password: password, Role: *role, EmailVerified: true,
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(c.out, "created %s (%s), role %s\n", user.Email, user.ID, user.Role)
		if *generate {
			fmt.Fprintln(c.out, "password: "+password)
		}
		return nil
	})
	return cmd
}

func nameOr(name, email string) string {
	if name == "" {
		name, _, _ = strings.Cut(email, "@")
	}
	return name
}

// askPassword asks twice at a terminal and reads one line elsewhere.
func (c *cli) askPassword() (string, error) {
	if !isTerminal(c.in) {
		line, err := bufio.NewReader(io.LimitReader(c.in, 64<<10)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the password: %w", err)
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			return "", errors.New("no password: write it to the standard input, or use --generate-password")
		}
		return line, nil
	}
	var typed [2]string
	terminal := int(c.in.(*os.File).Fd())
	for i, prompt := range []string{"Password: ", "Once more: "} {
		fmt.Fprint(c.err, prompt)
		b, err := term.ReadPassword(terminal)
		fmt.Fprintln(c.err)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		typed[i] = string(b)
	}
	if typed[0] != typed[1] {
		return "", errors.New("the two passwords differ")
	}
	return typed[0], nil
}

// generatePassword returns 130 bits as text that can be read out and typed.
func generatePassword() string { return strings.ToLower(rand.Text()) }

func (c *cli) userListCommand() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List everybody", Args: cobra.NoArgs, RunE: c.withStore(func(s *session, _ []string) error {
		table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ID\tE-MAIL\tNAME\tROLE\tCREATED\tSTATE")
		for after := ""; ; {
			users, err := s.db.ListUsers(s, after, 500)
			if err != nil {
				return err
			}
			for i := range users {
				u := &users[i]
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", u.ID, u.Email, printable(u.Name), u.Role, u.CreatedAt.Format(time.DateOnly), state(u))
				after = u.ID
			}
			if len(users) == 0 {
				return table.Flush()
			}
		}
	})}
}

// printable keeps what people call themselves from moving the cursor of an operator's terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, text)
}

func state(u *store.User) string {
	if u.Disabled(time.Now()) {
		return "disabled"
	}
	return "active"
}

func (c *cli) userSetRoleCommand() *cobra.Command {
	return &cobra.Command{
		Use: "set-role EMAIL ROLE", Short: "Make somebody user, admin or superadmin, which signs them out", Args: cobra.ExactArgs(2),
		RunE: c.withStore(func(s *session, args []string) error {
			user, err := s.db.UserByEmail(s, strings.ToLower(args[0]))
			if errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("there is nobody with the address %s", args[0])
			}
			if err != nil {
				return err
			}
			if err := s.people.SetRole(s, account.System(), user.ID, args[1]); err != nil {
				return err
			}
			fmt.Fprintf(c.out, "%s is now %s\n", user.Email, args[1])
			return nil
		}),
	}
}

func (c *cli) clientCreateCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "create", Short: "Create an application with its client", Args: cobra.NoArgs}
	f := cmd.Flags()
	name := f.String("name", "", "what people see when they sign in")
	kind := f.String("type", store.ClientWeb, "web, spa, native or m2m")
	id := f.String("client-id", "", "the client_id (default: generated)")
	redirects := f.StringSlice("redirect-uri", nil, "where answers may go; may be repeated")
	logouts := f.StringSlice("post-logout-redirect-uri", nil, "where the browser may go after signing out; may be repeated")
	scopes := f.StringSlice("scope", nil, "what the client may ask for; may be repeated")
	grants := f.StringSlice("grant-type", nil, "authorization_code, refresh_token, client_credentials; may be repeated")
	audiences := f.StringSlice("audience", nil, "the aud of access tokens; may be repeated")
	skipConsent := f.Bool("skip-consent", false, "for an application of your own, which needs nobody's consent")
	_ = cmd.MarkFlagRequired("name") // fails only for a flag that does not exist
	cmd.RunE = c.withStore(func(s *session, _ []string) error {
		in := admin.ApplicationInput{Name: *name, Type: *kind, ClientID: *id}
		in.RedirectURIs, in.PostLogoutRedirectURIs = given(*redirects), given(*logouts)
		in.Scopes, in.GrantTypes, in.Audiences = given(*scopes), given(*grants), given(*audiences)
		if *skipConsent {
			in.SkipConsent = admin.Set(true)
		}
		application, secret, err := admin.CreateApplication(s, s.db, admin.System(), in)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.out, "application:   %s (%s)\nissuer:        %s\nclient_id:     %s\n", application.Slug, application.ID, s.config.Issuer(), application.Clients[0].ID)
		if secret != "" {
			fmt.Fprintf(c.out, "client_secret: %s\nThe secret is shown only now.\n", secret)
		}
		return nil
	})
	return cmd
}

func given(values []string) admin.Optional[[]string] {
	if len(values) == 0 {
		return admin.Optional[[]string]{}
	}
	return admin.Set(values)
}

func (c *cli) keysList(s *session, _ []string) error {
	keys, err := s.db.SigningKeys(s)
	if err != nil {
		return err
	}
	slices.SortStableFunc(keys, func(a, b store.SigningKey) int { return strings.Compare(a.Alg, b.Alg) })
	table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KID\tALGORITHM\tSTATE\tCREATED\tSIGNS SINCE\tPUBLISHED UNTIL")
	for _, k := range keys {
		state := "signs"
		switch {
		case k.ActivatedAt == nil:
			state = "next"
		case k.RetiredAt != nil:
			state = "retired"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Alg, state, moment(&k.CreatedAt), moment(k.ActivatedAt), moment(k.ExpiresAt))
	}
	return table.Flush()
}

func moment(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func (c *cli) keysRotateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "rotate [ALGORITHM...]", Short: "Let the next keys sign; the old ones stay published until their tokens are dead",
		Long: "Let the next keys sign, of the algorithms given (RS256, ES256, EdDSA) or of all. Running servers follow within half a minute.",
	}
	force := cmd.Flags().Bool("force", false, "even if clients may not know the next key yet and will refuse its tokens for a while")
	cmd.RunE = c.withStore(func(s *session, args []string) error {
		provider, err := newProvider(s, s.config, s.db, s.keyring, s.people, s.log)
		if err != nil {
			return err
		}
		if err := provider.RotateKeys(s, *force, args...); err != nil {
			return err
		}
		return c.keysList(s, nil)
	})
	return cmd
}

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
