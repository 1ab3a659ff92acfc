package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"auth-service/store"
)

// How tokens are measured.
const (
	issueRounds   = 9
	issueDuration = time.Second
	issueTarget   = 1.10 // times what they cost beside an empty database
)

// rights are an application's client, and a machine's, whose people have roles, a plan and an organization.
type rights struct{ web, m2m registered }

// issues are the ways to get tokens, each for an application without rights and for one with.
var issues = []struct {
	name  string
	steps func(o *occupied) ([]step, error)
}{
	{"client_credentials", func(o *occupied) ([]step, error) {
		return o.bed.same(form(tokenPath, o.bed.m2m.machine("client_credentials"))), nil
	}},
	{"client_credentials, roles", func(o *occupied) ([]step, error) {
		return o.bed.same(form(tokenPath, o.rights.m2m.machine("client_credentials"))), nil
	}},
	{"code flow", func(o *occupied) ([]step, error) { return codeFlow(o.bed, o.bed.web) }},
	{"code flow, roles plan org", func(o *occupied) ([]step, error) { return codeFlow(o.bed, o.rights.web) }},
	{"refresh", func(o *occupied) ([]step, error) { return refresh(o.bed, o.bed.web) }},
	{"refresh, roles plan org", func(o *occupied) ([]step, error) { return refresh(o.bed, o.rights.web) }},
}

// measureIssue prints what tokens cost on both databases. They take turns, so that whatever else the machine does at the
// time hits both.
func measureIssue(ctx context.Context, big, empty *occupied, o options) error {
	fmt.Printf("tokens, %d callers, %d rounds of %s on each database in turn, target ≤ %.0f %% of empty\n\n", o.callers, issueRounds, issueDuration, 100*issueTarget)
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer out.Flush()
	fmt.Fprintln(out, "path\tbig p50 ms\tp99 ms\tempty p50 ms\tp99 ms\ttime of empty\tCPU of empty\t\t")
	for _, issue := range issues {
		if !chosen(issue.name, o.only) {
			continue
		}
		on := [2]*occupied{big, empty}
		var steps [2][]step
		for i := range on {
			var err error
			if steps[i], err = issue.steps(on[i]); err != nil {
				return fmt.Errorf("%s on %s: %w", issue.name, [...]string{"big", "empty"}[i], err)
			}
		}
		var got [2][]measurement
		for round := range 2 * issueRounds {
			i := (round + round/2) % 2 // big, empty, empty, big
			m, err := measure(ctx, on[i].server, issueDuration, steps[i])
			if err != nil {
				return fmt.Errorf("%s: %w", issue.name, err)
			}
			got[i] = append(got[i], m)
		}
		compare(out, issue.name, got[0], got[1])
	}
	return nil
}

func compare(out *tabwriter.Writer, name string, big, empty []measurement) {
	var times, cpu []float64
	for i := range big {
		times = append(times, empty[i].perSecond/big[i].perSecond)
		cpu = append(cpu, big[i].cpuPerThousand().Seconds()/empty[i].cpuPerThousand().Seconds())
	}
	verdict := "pass"
	if median(times) > issueTarget {
		verdict = "FAIL"
	}
	p50 := func(m measurement) float64 { return ms(m.p50) }
	p99 := func(m measurement) float64 { return ms(m.p99) }
	fmt.Fprintf(out, "%s\t%.1f\t%.1f\t%.1f\t%.1f\t%.0f %%\t%.0f %%\t%s\t\n", name, median(each(big, p50)), median(each(big, p99)),
		median(each(empty, p50)), median(each(empty, p99)), 100*median(times), 100*median(cpu), verdict)
}

func each(list []measurement, value func(measurement) float64) []float64 {
	var values []float64
	for _, m := range list {
		values = append(values, value(m))
	}
	return values
}

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// entitle registers two applications and gives their people, and the machine, all that a token can tell.
func entitle(ctx context.Context, url string, b *bed) (rights, error) {
	r := rights{web: registered{scope: "openid profile email offline_access roles plan org"}}
	for target, body := range map[*registered]string{
		&r.web: `{"name":"bench rights","type":"web","skipConsent":true,"redirectUris":["` + redirectURI + `"],"idTokenSignedResponseAlg":"ES256",
			"scopes":["openid","profile","email","offline_access","roles","plan","org"],"grantTypes":["authorization_code","refresh_token"],
			"tokenEndpointAuthMethod":"client_secret_post"}`,
		&r.m2m: `{"name":"bench machine rights","type":"m2m","scopes":["read"],"tokenEndpointAuthMethod":"client_secret_post"}`,
	} {
		if err := b.call(b.admin, "/api/admin/applications", body, target); err != nil {
			return r, err
		}
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return r, err
	}
	defer conn.Close(ctx)
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return r.write(ctx, tx, b.callers) })
	return r, err
}

// write inserts 20 permissions in 5 roles of each application, of which everybody holds three, two of them in the team.
// Ids are made from the numbers of what they name: they need not be UUIDs.
func (r rights) write(ctx context.Context, tx pgx.Tx, callers int) error {
	var addresses []string
	for i := range callers {
		addresses = append(addresses, email(i))
	}
	team := store.NewID()
	apps := []string{r.web.ID, r.m2m.ID}
	for _, statement := range []struct {
		sql  string
		args []any
	}{
		{"INSERT INTO organizations VALUES ($1, 'bench-team', 'bench team', '', '{}', now(), now())", []any{team}},
		{`INSERT INTO members SELECT 'bench-' || id, $1, id, 'member', now(), now() FROM users WHERE email = ANY($2)`, []any{team, addresses}},
		{`INSERT INTO permissions (id, application_id, key, name, description, created_at, updated_at)
			SELECT app || '-p' || n, app, 'thing' || n || ':read', '', '', now(), now() FROM unnest($1::text[]) AS app, generate_series(1, 20) AS n`, []any{apps}},
		{`INSERT INTO roles (id, application_id, key, name, description, is_default, created_at, updated_at)
			SELECT app || '-r' || n, app, 'role' || n, '', '', n = 5, now(), now() FROM unnest($1::text[]) AS app, generate_series(1, 5) AS n`, []any{apps}},
		{`INSERT INTO role_permissions (role_id, permission_id)
			SELECT app || '-r' || r, app || '-p' || p FROM unnest($1::text[]) AS app, generate_series(1, 5) AS r, generate_series(1, 20) AS p WHERE p % 3 = r % 3`, []any{apps}},
		{`INSERT INTO role_assignments (id, application_id, role_id, user_id, organization_id, created_at)
			SELECT 'bench-' || id || n, $1::text, $1 || '-r' || n, id, CASE WHEN n > 1 THEN $2::text END, now()
			FROM users, generate_series(1, 3) AS n WHERE email = ANY($3)`, []any{r.web.ID, team, addresses}},
		{"INSERT INTO client_roles (client_id, role_id) SELECT $1, $2 || '-r' || n FROM generate_series(1, 3) AS n", []any{r.m2m.ClientID, r.m2m.ID}},
		{`INSERT INTO plans (id, application_id, key, name, description, is_default, active, price_amount, price_currency, price_interval, features, created_at, updated_at)
			SELECT $1::text || '-plan' || n, $1::text, 'plan' || n, 'Plan', '', n = 0, true, '', '', '', (ARRAY[$2, $3, $4]::text[])[n + 1], now(), now()
			FROM generate_series(0, 2) AS n`, []any{r.web.ID, features(0), features(1), features(2)}},
		{`INSERT INTO subscriptions (id, application_id, plan_id, user_id, organization_id, overrides, starts_at, created_at, updated_at)
			SELECT 'bench-' || id, $1::text, $1::text || '-plan1', id, NULL, '[]', now(), now(), now() FROM users WHERE email = ANY($2)`, []any{r.web.ID, addresses}},
		{`INSERT INTO subscriptions (id, application_id, plan_id, user_id, organization_id, overrides, starts_at, created_at, updated_at)
			VALUES ($2::text, $1::text, $1::text || '-plan2', NULL, $2::text, '[{"key":"seats","type":"limit","value":40}]', now(), now(), now())`, []any{r.web.ID, team}},
	} {
		if _, err := tx.Exec(ctx, statement.sql, statement.args...); err != nil {
			return fmt.Errorf("%s: %w", statement.sql, err)
		}
	}
	return nil
}
