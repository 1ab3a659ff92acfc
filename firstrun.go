package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/rs/zerolog"

	"auth-service/account"
	"auth-service/config"
	"auth-service/problem"
	"auth-service/store"
)

// ensureSuperadmin makes the one with whom everything begins: from the configuration when there is no superadmin, and
// with a generated password when there is nobody at all. Who exists is never changed.
func ensureSuperadmin(ctx context.Context, people *account.Service, cfg *config.Config, out io.Writer, log zerolog.Logger) error {
	exists, err := people.Store.AnySuperadmin(ctx)
	if err != nil || exists {
		return err
	}
	password := string(cfg.Admin.Password)
	if password == "" {
		anybody, err := people.Store.ListUsers(ctx, "", 1)
		if err != nil {
			return err
		}
		if len(anybody) > 0 {
			log.Warn().Msg("there are people but no superadmin; make one with `auth-service user set-role EMAIL superadmin`")
			return nil
		}
		password = generatePassword()
	}
	_, err = people.CreateUser(ctx, account.System(), account.NewUser{
		Email: cfg.Admin.Email, Name: "Administrator", Password: password, Role: store.RoleSuperadmin, EmailVerified: true,
	})
	var p *problem.Error
	if errors.As(err, &p) && errors.Is(err, store.ErrConflict) {
		log.Warn().Str("email", cfg.Admin.Email).Msg("the superadmin was not made: the address is taken, perhaps by another replica a moment ago")
		return nil
	}
	if err != nil {
		return fmt.Errorf("make the superadmin: %w", err)
	}
	log.Info().Str("email", cfg.Admin.Email).Msg("superadmin made")
	if cfg.Admin.Password == "" {
		announce(out, cfg, password)
	}
	return nil
}

// announce prints the generated password, which nobody can see again.
func announce(out io.Writer, cfg *config.Config, password string) {
	lines := []string{
		"This is the first start. A superadmin was made:",
		"",
		"  sign in at  " + cfg.PublicURL + "/sign-in",
		"  e-mail      " + cfg.Admin.Email,
		"  password    " + password,
		"",
		"The password is shown only now. Change it after signing in.",
	}
	width := 0
	for _, line := range lines {
		width = max(width, utf8.RuneCountInString(line))
	}
	bar := strings.Repeat("─", width+2)
	fmt.Fprintln(out, "┌"+bar+"┐")
	for _, line := range lines {
		fmt.Fprintf(out, "│ %-*s │\n", width, line)
	}
	fmt.Fprintln(out, "└"+bar+"┘")
}
