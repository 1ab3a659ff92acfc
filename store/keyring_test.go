package store_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"auth-service/store"
)

const oldSecret, newSecret = "the old secret, long enough for a test", "the new secret, long enough for a test"

func TestSealedOpensOnlyWhereItBelongs(t *testing.T) {
	ring := store.NewKeyring(newSecret)
	sealed := ring.Seal("signing_keys/private_key/1", []byte("plain"))
	require.NotContains(t, sealed, "plain")
	require.NotEqual(t, sealed, ring.Seal("signing_keys/private_key/1", []byte("plain")), "each seal has its own nonce")
	plain, err := ring.Open("signing_keys/private_key/1", sealed)
	require.NoError(t, err)
	require.Equal(t, "plain", string(plain))

	// Whoever can write rows must not be able to give one user's secret to another.
	_, err = ring.Open("signing_keys/private_key/2", sealed)
	require.ErrorIs(t, err, store.ErrSealed)
}

func TestAlteredSealDoesNotOpen(t *testing.T) {
	ring := store.NewKeyring(newSecret)
	sealed := ring.Seal("t/c/1", []byte("plain"))
	for i := range sealed {
		for _, replacement := range []string{"A", "B", ""} {
			altered := sealed[:i] + replacement + sealed[i+1:]
			if altered == sealed {
				continue
			}
			_, err := ring.Open("t/c/1", altered)
			require.Error(t, err, "byte %d of %s", i, sealed)
		}
	}
	for _, junk := range []string{"", ".", "..", "v1", "v1..", "v2" + sealed[2:], sealed[:len(sealed)/2], sealed + "AAAA"} {
		_, err := ring.Open("t/c/1", junk)
		require.Error(t, err, junk)
	}
}

func TestRotatedSecret(t *testing.T) {
	old, rotated, forgotten := store.NewKeyring(oldSecret), store.NewKeyring(newSecret, oldSecret), store.NewKeyring(newSecret)
	sealed, mac := old.Seal("t/c/1", []byte("plain")), old.MAC("label", []byte("data"))

	plain, err := rotated.Open("t/c/1", sealed)
	require.NoError(t, err)
	require.Equal(t, "plain", string(plain))
	require.True(t, rotated.VerifyMAC("label", []byte("data"), mac))
	require.False(t, rotated.Current(sealed), "it waits to be sealed anew")

	renewed := rotated.Seal("t/c/1", plain)
	require.True(t, rotated.Current(renewed))
	_, err = forgotten.Open("t/c/1", renewed)
	require.NoError(t, err, "new work uses the new secret")
	_, err = forgotten.Open("t/c/1", sealed)
	require.ErrorIs(t, err, store.ErrUnknownKey)
	require.False(t, forgotten.VerifyMAC("label", []byte("data"), mac))
	require.Equal(t, rotated.MAC("label", nil), forgotten.MAC("label", nil))
	require.Equal(t, old.Keys("cookie")[0], rotated.Keys("cookie")[1])
}

func TestMAC(t *testing.T) {
	ring := store.NewKeyring(newSecret)
	mac := ring.MAC("code", []byte("data"))
	require.True(t, ring.VerifyMAC("code", []byte("data"), mac))
	require.False(t, ring.VerifyMAC("code", []byte("date"), mac))
	require.False(t, ring.VerifyMAC("token", []byte("data"), mac), "a code is not a token")
	require.False(t, ring.VerifyMAC("coded", []byte("ata"), mac), "label and data do not run into each other")
	require.False(t, ring.VerifyMAC("code", []byte("data"), nil))
	require.False(t, ring.VerifyMAC("code", []byte("data"), mac[:16]), "a truncated MAC is easier to guess")
	require.NotEqual(t, ring.Keys("a"), ring.Keys("b"))
	require.Len(t, ring.Keys("a")[0], 32)
}

// What the database holds must not help to guess the secret or to tell that two installations share one.
func TestKeyIDsAreShortAndDiffer(t *testing.T) {
	id := func(secret string) string {
		return strings.Split(store.NewKeyring(secret).Seal("", nil), ".")[1]
	}
	require.Len(t, id(oldSecret), 8)
	require.NotEqual(t, id(oldSecret), id(newSecret))
	require.Equal(t, id(newSecret), id(newSecret))
}
