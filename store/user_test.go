package store_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// person inserts somebody.
func person(t *testing.T, s *store.Store, email, role string) *store.User {
	t.Helper()
	u := &store.User{ID: store.NewID(), Email: email, Name: email, Role: role, PasswordHash: "hash", CreatedAt: noon, UpdatedAt: noon}
	require.NoError(t, s.CreateUser(t.Context(), u))
	return u
}

func TestUserIsReadBackAsWritten(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		until := noon.Add(time.Hour)
		u := &store.User{
			ID: store.NewID(), Email: "a@example.com", EmailVerified: true, Name: "Zoë", Image: "https://example.com/a.png",
			Role: store.RoleAdmin, PasswordHash: "hash", DisabledAt: &noon, DisabledUntil: &until, DisabledReason: "left",
			CreatedAt: noon, UpdatedAt: noon.Add(time.Microsecond),
		}
		require.NoError(t, s.CreateUser(t.Context(), u))
		for _, find := range []func() (*store.User, error){
			func() (*store.User, error) { return s.UserByID(t.Context(), u.ID) },
			func() (*store.User, error) { return s.UserByEmail(t.Context(), "a@example.com") },
		} {
			got, err := find()
			require.NoError(t, err)
			require.Equal(t, u, got)
		}
		require.True(t, u.Disabled(until.Add(-1)))
		require.False(t, u.Disabled(until))
		_, err := s.UserByID(t.Context(), "nobody")
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = s.UserByEmail(t.Context(), "nobody@example.com")
		require.ErrorIs(t, err, store.ErrNotFound)
	})
}

func TestAnAddressBelongsToOne(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		person(t, s, "a@example.com", store.RoleUser)
		err := s.CreateUser(t.Context(), &store.User{ID: store.NewID(), Email: "a@example.com", CreatedAt: noon, UpdatedAt: noon})
		require.ErrorIs(t, err, store.ErrConflict)
	})
}

func TestListUsersInPages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		var want, got []string
		for _, name := range []string{"c", "a", "b"} {
			want = append(want, person(t, s, name+"@example.com", store.RoleUser).ID)
		}
		for after := ""; ; {
			page, err := s.ListUsers(t.Context(), after, 2)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			require.LessOrEqual(t, len(page), 2)
			for _, u := range page {
				got = append(got, u.ID)
			}
			after = got[len(got)-1]
		}
		require.Equal(t, want, got)
	})
}

// Of two changes that start from the same password one must lose, or the loser believes in a password that is none.
func TestSetPasswordComparesAndSets(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		u := person(t, s, "a@example.com", store.RoleUser)
		require.NoError(t, s.SetPassword(t.Context(), u.ID, "hash", "second", noon))
		require.ErrorIs(t, s.SetPassword(t.Context(), u.ID, "hash", "third", noon), store.ErrConflict)
		require.ErrorIs(t, s.HoldPassword(t.Context(), u.ID, "hash"), store.ErrConflict)
		require.NoError(t, s.HoldPassword(t.Context(), u.ID, "second"))
	})
}

func TestUpdateProfileLeavesTheRest(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		u := person(t, s, "a@example.com", store.RoleUser)
		name, image := "Ada", "https://example.com/a.png"
		require.NoError(t, s.UpdateProfile(t.Context(), u.ID, store.Profile{Image: &image}, noon.Add(time.Hour)))
		require.NoError(t, s.UpdateProfile(t.Context(), u.ID, store.Profile{Name: &name}, noon.Add(2*time.Hour)))
		got, err := s.UserByID(t.Context(), u.ID)
		require.NoError(t, err)
		u.Name, u.Image, u.UpdatedAt = name, image, noon.Add(2*time.Hour)
		require.Equal(t, u, got)
		require.ErrorIs(t, s.UpdateProfile(t.Context(), "nobody", store.Profile{Name: &name}, noon), store.ErrNotFound)
	})
}

func setRole(ctx context.Context, s *store.Store, id, role string) error {
	was, err := s.LockUser(ctx, id)
	if err != nil {
		return err
	}
	is := *was
	is.Role, is.UpdatedAt = role, noon
	return s.UpdateUser(ctx, was, &is)
}

func TestLastSuperadminStays(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		root := person(t, s, "root@example.com", store.RoleSuperadmin)
		away := person(t, s, "away@example.com", store.RoleSuperadmin)
		ctx := t.Context()
		require.NoError(t, s.DisableUser(ctx, away.ID, "away", nil, noon))

		refused := func(why string) {
			require.ErrorIs(t, setRole(ctx, s, root.ID, store.RoleAdmin), store.ErrLastSuperadmin, why)
			require.ErrorIs(t, s.DisableUser(ctx, root.ID, "", nil, noon), store.ErrLastSuperadmin, why)
			require.ErrorIs(t, s.DeleteUser(ctx, root.ID, noon), store.ErrLastSuperadmin, why)
		}
		refused("a disabled one does not count")
		require.NoError(t, setRole(ctx, s, root.ID, store.RoleSuperadmin))
		require.NoError(t, s.EnableUser(ctx, away.ID, noon))
		require.NoError(t, setRole(ctx, s, root.ID, store.RoleUser))
		require.NoError(t, s.DeleteUser(ctx, root.ID, noon))
		require.ErrorIs(t, s.DeleteUser(ctx, root.ID, noon), store.ErrNotFound)

		any, err := s.AnySuperadmin(ctx)
		require.NoError(t, err)
		require.True(t, any)
	})
}

// Two superadmins who remove one another at the same moment change different rows; still one must stay.
func TestLastSuperadminStaysWhenTwoGoAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		for round := range 10 {
			a := person(t, s, "a"+string(rune('0'+round))+"@example.com", store.RoleSuperadmin)
			b := person(t, s, "b"+string(rune('0'+round))+"@example.com", store.RoleSuperadmin)
			errs := together(2, func(i int) error {
				return s.Tx(t.Context(), func(ctx context.Context) error {
					return setRole(ctx, s, []string{a.ID, b.ID}[i], store.RoleUser)
				})
			})
			lost := 0
			for _, err := range errs {
				if err != nil {
					require.ErrorIs(t, err, store.ErrLastSuperadmin)
					lost++
				}
			}
			require.Equal(t, 1, lost, "exactly one is refused")
			for _, u := range []*store.User{a, b} { // so that the next round has its own two alone
				require.NoError(t, s.DB(t.Context()).Delete(u).Error)
			}
		}
	})
}

// together calls fn n times at once and returns what the calls returned.
func together(n int, fn func(i int) error) []error {
	errs, start := make([]error, n), make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = fn(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}
