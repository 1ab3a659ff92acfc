package store_test

import (
	"encoding/json"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
)

func TestParseAmount(t *testing.T) {
	for text, want := range map[string]string{
		"0": "0", "1": "1", "007": "7", "0.1": "0.1", "0.10": "0.1", "1e3": "1000", "1.5E2": "150", "25e-6": "0.000025", "0.000001": "0.000001",
		"1000000000000": "1000000000000", "999999999999.999999": "999999999999.999999", ".5": "0.5", "5.": "5", "0.1000000000": "0.1",
	} {
		a, err := store.ParseAmount(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, a.String(), text)
	}
	for _, text := range []string{
		"", "-1", "+1", "-0", "0.0000001", "1e-7", "1000000000000.000001", "1e13", "1e400", "1e99999999999", "1e-99999999999", "NaN", "Infinity", "inf", "0x10", "0b1", "0o7",
		"1_000", "1/2", "1.2.3", "1.a", "a.1", "0.1234567", " 1", "1 ", "1,5", "1p3", "null", "1e", "１", "0.00000000000000000000000000000000000000000000000000000000000000000",
	} {
		_, err := store.ParseAmount(text)
		assert.ErrorIs(t, err, store.ErrInvalidAmount, text)
	}
}

func TestAmountInJSON(t *testing.T) {
	var got []store.Amount
	require.NoError(t, json.Unmarshal([]byte(`[0.1, "0.2", 9007199254740993, 1e2]`), &got))
	text, err := json.Marshal(got)
	require.NoError(t, err)
	assert.Equal(t, `[0.1,0.2,9007199254740993,100]`, string(text), "a float would have rounded the third")
	for _, text := range []string{`"x"`, `""`, `true`, `-1`, `"-1"`, `{}`} {
		assert.Error(t, json.Unmarshal([]byte(text), new(store.Amount)), text)
	}
}

// Sums must be those of exact fractions, whatever the order; three times a tenth is where floats fail.
func TestAmountIsExact(t *testing.T) {
	for range 2000 {
		a, exactA := someAmount(t)
		b, exactB := someAmount(t)
		assert.Zero(t, exact(t, a.Add(b)).Cmp(new(big.Rat).Add(exactA, exactB)), "%s + %s", a, b)
		assert.Equal(t, exactA.Cmp(exactB), a.Compare(b), "%s, %s", a, b)
		assert.Equal(t, a, a.Add(b).Minus(b), "%s + %s", a, b)
		if exactA.Cmp(exactB) <= 0 {
			assert.True(t, a.Minus(b).IsZero(), "%s - %s", a, b)
		}
		n := 1 + rand.N(1000)
		share := exact(t, a.Percent(n))
		short := new(big.Rat).Sub(share, new(big.Rat).Mul(exactA, big.NewRat(int64(n), 100)))
		assert.True(t, short.Sign() >= 0 && short.Cmp(big.NewRat(1, 1_000_000)) < 0, "%d %% of %s", n, a)
	}
}

func someAmount(t *testing.T) (store.Amount, *big.Rat) {
	t.Helper()
	micros := rand.N([]int64{10, 2_000_000, 1_000_000_000_000_000_000}[rand.N(3)])
	exact := big.NewRat(micros, 1_000_000)
	a, err := store.ParseAmount(exact.FloatString(6))
	require.NoError(t, err)
	return a, exact
}

func exact(t *testing.T, a store.Amount) *big.Rat {
	t.Helper()
	out, ok := new(big.Rat).SetString(a.String())
	require.True(t, ok)
	return out
}
