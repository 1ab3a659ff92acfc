package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"auth-service/admin"
	"auth-service/export"
	"auth-service/store"
)

// toldRefusals is how many refused lines are shown where no report was asked for.
const toldRefusals = 20

func (c *cli) userImportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "import FILE|-", Short: "Create or change many people from a file", Args: cobra.ExactArgs(1),
		Long: "Create or change many people from a file, or from the standard input. A table (csv) begins with the names of its columns; jsonl\n" +
			"has one JSON object per line. The fields are those of `user export`, and password; only email is required. Each line is carried\n" +
			"out whole or not at all. When lines were refused the exit code is 1, and the others have been carried out.",
	}
	format := cmd.Flags().String("format", "", "csv or jsonl (default: as the name of the file ends, else csv)")
	dryRun := cmd.Flags().Bool("dry-run", false, "find out everything and write nothing")
	conflict := cmd.Flags().String("on-conflict", store.ConflictFail,
		"what becomes of a line whose address or id somebody has: fail, skip, or update, which changes that person")
	report := cmd.Flags().String("report", "", "write the refused lines into this file, one JSON object each")
	cmd.RunE = c.withStore(func(s *session, args []string) error {
		people := &admin.Import{
			People: s.people, Actor: admin.System(), Format: formatOf(*format, args[0]), OnConflict: *conflict, DryRun: *dryRun,
		}
		err := errors.Join(
			oneOf("--format", people.Format, export.CSV, export.JSONL),
			oneOf("--on-conflict", people.OnConflict, store.ConflictFail, store.ConflictSkip, store.ConflictUpdate),
		)
		if err != nil {
			return err
		}
		file, size, err := c.openInput(args[0])
		if err != nil {
			return err
		}
		defer file.Close()
		if *report == "" {
			return c.importUsers(s, people, file, size)
		}
		refusals, err := os.OpenFile(*report, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		lines := json.NewEncoder(refusals)
		var failed error
		people.Refused = func(e admin.ImportError) { failed = errors.Join(failed, lines.Encode(e)) }
		err = c.importUsers(s, people, file, size)
		return errors.Join(err, failed, refusals.Close())
	})
	return cmd
}

// importUsers runs an import and says what became of it.
func (c *cli) importUsers(s *session, people *admin.Import, file io.Reader, size int64) error {
	bar := &progress{out: c.err, terminal: isTerminal(c.err), size: size}
	people.Progress = func(r *admin.ImportReport) { bar.show(r.Lines, r.Refused) }
	report, err := people.Run(s, bar.watch(file))
	bar.end()
	if report == nil {
		return err
	}
	if people.Refused == nil {
		c.tellRefusals(report.Errors)
	}
	note := ""
	if people.DryRun {
		note = " (dry run: nothing was written)"
	}
	fmt.Fprintf(c.out, "lines: %d, created: %d, updated: %d, skipped: %d, refused: %d%s\n",
		report.Lines, report.Created, report.Updated, report.Skipped, report.Refused, note)
	switch {
	case err != nil:
		return fmt.Errorf("the import broke off after %d lines: %w", report.Lines, err)
	case !report.Complete:
		last := report.Errors[len(report.Errors)-1]
		return fmt.Errorf("the file was read up to line %d: %s", last.Line, last.Message)
	case report.Refused > 0:
		return fmt.Errorf("%d of %d lines were refused", report.Refused, report.Lines)
	}
	return nil
}

// tellRefusals writes the first refused lines for whoever is watching.
func (c *cli) tellRefusals(refused []admin.ImportError) {
	for _, e := range refused[:min(len(refused), toldRefusals)] {
		fmt.Fprintf(c.out, "line %d %s: %s\n", e.Line, printable(e.Email), printable(inWords(e)))
	}
	if len(refused) > toldRefusals {
		fmt.Fprintln(c.out, "more lines were refused; --report FILE lists all of them")
	}
}

// inWords is why a line was refused: a sentence for each field, if it is about fields.
func inWords(e admin.ImportError) string {
	if len(e.Errors) == 0 {
		return e.Message
	}
	return strings.Join(byField(e.Errors), " ")
}

// openInput opens a file, or the standard input for "-". The size is 0 when it is not known.
func (c *cli) openInput(name string) (io.ReadCloser, int64, error) {
	if name == "-" {
		return io.NopCloser(c.in), 0, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	about, err := file.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, about.Size(), nil
}

func (c *cli) userExportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "export", Short: "Write people into a file that import reads", Args: cobra.NoArgs,
		Long: "Write people into a file that `user import` reads, the first to come first. Every export is in the audit log.",
	}
	var in admin.UserExport
	f := cmd.Flags()
	f.StringVar(&in.Format, "format", "", "csv or jsonl (default: as the name of the output ends, else csv)")
	f.StringVar(&in.Search, "search", "", "how the address or the name begins, or the id")
	f.StringVar(&in.Role, "role", "", "only people who are user, admin or superadmin")
	f.StringVar(&in.Disabled, "disabled", "", "only people who are disabled (true) or not (false)")
	f.BoolVar(&in.IncludePasswordHashes, "include-password-hashes", false, "so that people keep their passwords where they are imported")
	output := f.String("output", "", "the file, which appears when it is complete (default: the standard output)")
	cmd.RunE = c.withStore(func(s *session, _ []string) error {
		in.Format = formatOf(in.Format, *output)
		err := errors.Join(
			oneOf("--format", in.Format, export.CSV, export.JSONL),
			oneOf("--role", in.Role, "", store.RoleUser, store.RoleAdmin, store.RoleSuperadmin),
			oneOf("--disabled", in.Disabled, "", "true", "false"),
		)
		if err != nil {
			return err
		}
		export := func(w io.Writer) error { return admin.ExportUsers(s, s.db, admin.System(), time.Now, in, w) }
		if *output == "" {
			return export(c.out)
		}
		return writeFile(*output, export)
	})
	return cmd
}

// writeFile writes all of a file or nothing, readable by us alone.
func writeFile(name string, write func(io.Writer) error) error {
	file, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // it is gone when it got its name
	buffered := bufio.NewWriter(file)
	err = write(buffered)
	if err == nil {
		err = buffered.Flush()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), name)
}

// formatOf is the format that was asked for, or the one that a name of a file tells.
func formatOf(format, name string) string {
	switch extension := strings.ToLower(filepath.Ext(name)); {
	case format != "":
		return format
	case extension == ".jsonl", extension == ".ndjson":
		return export.JSONL
	}
	return export.CSV
}

func oneOf(flag, value string, choices ...string) error {
	if slices.Contains(choices, value) {
		return nil
	}
	return fmt.Errorf("%s must be one of %s", flag, strings.TrimPrefix(strings.Join(choices, ", "), ", "))
}
