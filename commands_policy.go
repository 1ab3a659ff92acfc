package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"auth-service/admin"
)

// wouldChange is the status with which a dry run ends when there is something to change.
const wouldChange exitStatus = 2

// An exitStatus ends the program with a status of its own. There is nothing to add to what it has printed.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

const policyHelp = `Make applications, with their clients, permissions, roles and plans, what a file says. Field names are those of /api/admin:

  applications:
    - slug: crm                       # which application; the name and the type are needed for a new one only
      name: CRM
      type: web
      clientId: crm-web               # of a new application; generated when left out
      redirectUris: [https://crm.example.com/callback]
      audiences: [https://api.crm.example.com]
      permissions:
        - {key: "invoice:read"}
        - {key: "invoice:void", description: Cancels an invoice}
      roles:
        - {key: reader, isDefault: true, permissions: ["invoice:read"]}
        - {key: accountant, name: Accountant, permissions: ["invoice:read", "invoice:void"]}
      plans:
        - {key: free, name: Free, isDefault: true, features: {export: false, seats: 1}}
        - key: pro
          name: Pro
          price: {amount: 49, currency: EUR, interval: month}
          features:
            - {key: export, type: boolean, value: true}
            - {key: seats, type: limit, value: 10}
            - {key: api_calls, type: quota, value: 10000, period: month, hard: true}
      clients:                        # beside the first one
        - {clientId: crm-worker, type: m2m}

Applications that the file does not name are left alone, and so is every setting that it leaves out; null goes back to the
default. Permissions, roles and plans that a list does not name are deleted; a list that is left out deletes nothing. Clients
are never deleted. Nothing is ever renamed: another key or slug is another thing.

The difference is shown before anything is written. Then everything is written, or nothing. The secrets of new clients are
printed once. A second run has nothing to change.`

// policyFlags are those of apply.
type policyFlags struct {
	file                        string
	dryRun, yes, force, noPrune bool
}

func (c *cli) applyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "apply", Short: "Make applications, roles and plans what a file says", Long: policyHelp, Args: cobra.NoArgs}
	var f policyFlags
	cmd.Flags().StringVarP(&f.file, "file", "f", "", "the file, YAML or JSON; - for the standard input")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only show the difference; the exit status is 0 when there is none, and 2 when there is one")
	cmd.Flags().BoolVar(&f.yes, "yes", false, "delete without asking; needed where nobody can be asked")
	cmd.Flags().BoolVar(&f.force, "force", false, "also delete roles that somebody holds and plans that somebody subscribed to")
	cmd.Flags().BoolVar(&f.noPrune, "no-prune", false, "keep what the lists of the file do not name")
	_ = cmd.MarkFlagRequired("file") // fails only for a flag that does not exist
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		policy, err := c.readPolicy(f.file) // what is wrong with the file needs no database
		if err == nil {
			err = c.withStore(func(s *session, _ []string) error { return c.apply(s, policy, f) })(cmd, args)
		}
		if errors.As(err, new(*admin.InvalidPolicy)) {
			return fmt.Errorf("%s cannot be applied:\n%w", f.file, err)
		}
		return err
	}
	return cmd
}

func (c *cli) readPolicy(name string) (*admin.Policy, error) {
	if name == "-" {
		return admin.ReadPolicy(c.in)
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return admin.ReadPolicy(file)
}

func (c *cli) apply(s *session, policy *admin.Policy, f policyFlags) error {
	how := admin.PolicyOptions{Keep: f.noPrune, Force: f.force}
	diff, err := admin.PreviewPolicy(s, s.db, admin.System(), policy, how)
	if err != nil {
		return err
	}
	c.showDifference(diff)
	switch {
	case len(diff.Changes) == 0:
		return nil
	case f.dryRun:
		return wouldChange
	}
	if n := diff.Count(admin.PolicyDeletes); n > 0 && !f.yes {
		if err := c.askToDelete(n); err != nil {
			return err
		}
	}
	secrets, err := admin.ApplyPolicy(s, s.db, admin.System(), policy, how, diff)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.out, "applied")
	c.showSecrets(secrets)
	return nil
}

var policyColours = map[rune]string{admin.PolicyAdds: "\x1b[32m", admin.PolicyChanges: "\x1b[33m", admin.PolicyDeletes: "\x1b[31m"}

func (c *cli) showDifference(diff *admin.PolicyDiff) {
	if len(diff.Changes) == 0 {
		fmt.Fprintln(c.out, "nothing to change")
		return
	}
	colour, application := isTerminal(c.out), ""
	for i := range diff.Changes {
		change := &diff.Changes[i]
		if change.Application != application {
			application = change.Application
			fmt.Fprintln(c.out, application)
		}
		for _, line := range change.Lines() {
			line = printable(line)
			if colour {
				line = policyColours[change.Kind] + line + "\x1b[0m"
			}
			fmt.Fprintln(c.out, "  "+line)
		}
	}
	fmt.Fprintf(c.out, "%d to add, %d to change, %d to delete\n", diff.Count(admin.PolicyAdds), diff.Count(admin.PolicyChanges), diff.Count(admin.PolicyDeletes))
}

// askToDelete returns nil when whoever sits at the terminal agrees.
func (c *cli) askToDelete(n int) error {
	if !isTerminal(c.in) {
		return fmt.Errorf("%d would be deleted, and there is nobody to ask: use --yes, or --no-prune to keep them", n)
	}
	fmt.Fprintf(c.err, "Delete %d, and apply the rest? [y/N] ", n)
	answer, err := bufio.NewReader(io.LimitReader(c.in, 1<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer: %w", err)
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was applied")
	}
	return nil
}

func (c *cli) showSecrets(secrets []admin.NewSecret) {
	for _, secret := range secrets {
		fmt.Fprintf(c.out, "%s: client_id %s, client_secret %s\n", secret.Application, secret.ClientID, secret.Secret)
	}
	if len(secrets) > 0 {
		fmt.Fprintln(c.out, "The secrets are shown only now.")
	}
}

func (c *cli) exportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "export [APPLICATION...]", Short: "Write what applications, roles and plans are as a file for apply",
		Long: "Write what applications are, those named by id, slug or client_id or all of them, with their clients, permissions, roles and\n" +
			"plans, as a file for apply. No secret is in it. The same state makes the same file, byte for byte.",
	}
	name := cmd.Flags().StringP("file", "f", "-", "where to write; - for the standard output")
	cmd.RunE = c.withStore(func(s *session, args []string) error {
		text, err := admin.ExportPolicy(s, s.db, args...)
		if err != nil {
			return err
		}
		if *name != "-" {
			return writeFile(*name, func(w io.Writer) error {
				_, err := w.Write(text)
				return err
			})
		}
		_, err = c.out.Write(text)
		return err
	})
	return cmd
}

// exitCode is the status of a program that ends with err.
func exitCode(err error) int {
	var status exitStatus
	errors.As(err, &status)
	return cmp.Or(int(status), 1)
}
