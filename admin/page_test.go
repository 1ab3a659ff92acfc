package admin_test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"auth-service/store"
	"auth-service/store/storetest"
)

func (s *server) names(query string) (names []string, next string, total float64) {
	s.t.Helper()
	a := s.call("GET", "/applications?"+query, "").is(200)
	for _, item := range a.body["items"].([]any) {
		names = append(names, item.(map[string]any)["name"].(string))
	}
	next, _ = a.body["nextCursor"].(string)
	return names, next, a.body["total"].(float64)
}

// Every order, walked page by page, shows each application once, in that order, also where the values are equal.
func TestPaging(t *testing.T) {
	ticks := &clock{}
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		srv := newServer(t, s)
		for i, name := range []string{"b", "a", "c", "c", "e", "d", "c"} {
			srv.create(with("web", fields{"name": name, "slug": fmt.Sprintf("s%d", i)}))
			if i%2 == 1 {
				ticks.advance(time.Millisecond) // others are created in the same instant
			}
		}
		ticks.advance(time.Second)
		srv.call("PATCH", "/applications/s0", `{"metadata":{"x":1}}`).is(200)
		for _, tt := range []struct {
			sort string
			want []string
		}{
			{"createdAt", []string{"b", "a", "c", "c", "e", "d", "c"}},
			{"-createdAt", []string{"c", "d", "e", "c", "c", "a", "b"}},
			{"", []string{"c", "d", "e", "c", "c", "a", "b"}},
			{"name", []string{"a", "b", "c", "c", "c", "d", "e"}},
			{"-name", []string{"e", "d", "c", "c", "c", "b", "a"}},
			{"updatedAt", []string{"a", "c", "c", "e", "d", "c", "b"}},
			{"-updatedAt", []string{"b", "c", "d", "e", "c", "c", "a"}},
		} {
			for _, limit := range []int{1, 2, 3, 7, 200} {
				t.Run(fmt.Sprintf("%s by %d", tt.sort, limit), func(t *testing.T) {
					srv.t = t
					query := url.Values{"limit": {fmt.Sprint(limit)}}
					if tt.sort != "" {
						query.Set("sort", tt.sort)
					}
					var got []string
					for pages := 0; ; pages++ {
						require.Less(t, pages, 10)
						names, next, total := srv.names(query.Encode())
						assert.Equal(t, 7.0, total)
						assert.LessOrEqual(t, len(names), limit)
						got = append(got, names...)
						if next == "" {
							break
						}
						query.Set("cursor", next)
					}
					assert.Equal(t, tt.want, got)
				})
			}
		}
	}, func(o *store.Options) { o.Now = ticks.now })
}

func TestSearch(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(with("web", fields{"name": "Épicerie 100%_ok!"}))
		_, spa := srv.create(with("spa", fields{"name": "Shop", "slug": "the-shop"}))
		srv.create(with("m2m", fields{"name": "Worker"}))
		srv.call("POST", "/applications/worker/clients", with("spa", nil)).is(201)
		for _, tt := range []struct {
			query string
			want  []string
		}{
			{"search=SHO", []string{"Shop"}},
			{"search=the-", []string{"Shop"}},
			{"search=" + spa, []string{"Shop"}},
			{"search=" + strings.ToUpper(spa), []string{"Shop"}},
			{"search=" + url.QueryEscape("Épic"), []string{"Épicerie 100%_ok!"}},
			{"search=" + url.QueryEscape("100%_OK!"), []string{"Épicerie 100%_ok!"}},
			// Taken literally: neither wildcards nor SQL.
			{"search=" + url.QueryEscape("%"), []string{"Épicerie 100%_ok!"}},
			{"search=" + url.QueryEscape("S_op"), nil},
			{"search=" + url.QueryEscape("' OR 1=1 --"), nil},
			{"search=" + url.QueryEscape(`\`), nil},
			{"type=spa", []string{"Shop", "Worker"}}, // a client of any place counts
			{"type=m2m", []string{"Worker"}},
			{"type=native", nil},
			{"type=spa&search=shop", []string{"Shop"}},
		} {
			names, next, total := srv.names(tt.query + "&sort=name")
			slices.Sort(names)
			assert.Equal(t, tt.want, names, tt.query)
			assert.Empty(t, next)
			assert.EqualValues(t, len(tt.want), total, tt.query)
		}
	})
}

func TestBadListParameters(t *testing.T) {
	each(t, func(t *testing.T, srv *server) {
		srv.create(webApplication)
		srv.create(webApplication)
		_, good, _ := srv.names("limit=1&sort=name")
		encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
		for query, field := range map[string]string{
			"limit=0": "query.limit", "limit=201": "query.limit", "limit=x": "query.limit", "limit=1e2": "query.limit",
			"sort=id": "query.sort", "sort=name,id": "query.sort", "sort=--name": "query.sort", "type=machine": "query.type",
			"search=" + strings.Repeat("a", 201): "query.search", "search=a%00b": "query.search", "search=%ff": "query.search",
			"cursor=" + good: "query.cursor", // made for another order
			"sort=name&cursor=" + strings.Repeat("a", 1001):                                          "query.cursor",
			"sort=name&cursor=" + good[1:]:                                                           "query.cursor",
			"sort=name&cursor=" + good + "A":                                                         "query.cursor",
			"sort=name&cursor=*":                                                                     "query.cursor",
			"sort=name&cursor=" + encode(`{"s":"name","v":"a\u0000","i":"x"}`):                       "query.cursor",
			"sort=name&cursor=" + encode(`{"s":"name","v":"a","i":"\u0000"}`):                        "query.cursor",
			"sort=name&cursor=" + encode(`{"s":"name","v":1,"i":"x"}`):                               "query.cursor",
			"sort=name&cursor=" + encode(`{"s":"name","v":"a","i":"x","q":"DROP TABLE"}`):            "query.cursor",
			"sort=name&cursor=" + encode(`{"s":"name","v":"a","i":"x"}{}`):                           "query.cursor",
			"sort=createdAt&cursor=" + encode(`{"s":"createdAt","v":"yesterday","i":"x"}`):           "query.cursor",
			"sort=createdAt&cursor=" + encode(`{"s":"createdAt","v":"0000-01-01T00:00:00Z","i":""}`): "query.cursor",
		} {
			a := srv.call("GET", "/applications?"+query, "").is(400, "VALIDATION_ERROR")
			assert.NotEmpty(t, a.errors()[field], "%s: %s", query, a.Body)
		}
		// Well-formed forgeries read from another place of the same list, no more.
		for _, forged := range []string{`{"s":"name","v":"' OR 1=1 --","i":"x"}`, `{"s":"name","v":"","i":""}`} {
			names, _, total := srv.names("sort=name&cursor=" + encode(forged))
			assert.Len(t, names, 2)
			assert.Equal(t, 2.0, total)
		}
		names, next, total := srv.names("sort=name&cursor=" + encode(`{"s":"name","v":"zzz","i":""}`))
		assert.Empty(t, names)
		assert.Empty(t, next)
		assert.Equal(t, 2.0, total, "also when the page is empty")
	})
}
