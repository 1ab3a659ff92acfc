package admin_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"

	"auth-service/account"
	"auth-service/admin"
	"auth-service/consumption"
	"auth-service/problem"
)

var update = flag.Bool("update", false, "write the golden files anew")

// documented is the router with every route that the document describes. Nothing of it is called but the document.
func documented() *echo.Echo {
	e := echo.New()
	api := problem.NewAPI(e, "Test", "0")
	(&account.Service{}).Mount(e, api)
	(&admin.Handler{}).Mount(api)
	(&consumption.Handler{}).Mount(api)
	admin.DescribeOAuth(api)
	(&admin.Document{API: api}).Mount(e)
	return e
}

func get(e *echo.Echo, path string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	e.ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
	return rec
}

// The document is what front ends and client libraries are generated from: its diff is an API review.
func TestOpenAPIGolden(t *testing.T) {
	rec := get(documented(), "/api/openapi.json")
	require.Equal(t, 200, rec.Code)
	assert.Equal(t, "application/json", rec.Header().Get("Content-Type"))
	var got bytes.Buffer
	require.NoError(t, json.Indent(&got, rec.Body.Bytes(), "", "  "))
	got.WriteByte('\n')
	const golden = "testdata/openapi.golden.json"
	if *update {
		require.NoError(t, os.WriteFile(golden, got.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), got.String(), "run go test ./admin -update and review the diff")
}

// A reference that leads nowhere breaks every generator.
func TestOpenAPIReferences(t *testing.T) {
	rec := get(documented(), "/api/openapi.json")
	var document struct {
		OpenAPI    string
		Components struct{ Schemas, SecuritySchemes map[string]any }
		Paths      map[string]map[string]struct {
			OperationID string
			Summary     string
			Tags        []string
			Security    []map[string][]string
			Parameters  []struct{ Name, In string }
			Responses   map[string]any
		}
	}
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &document))
	assert.Equal(t, "3.1.0", document.OpenAPI)
	for _, ref := range regexp.MustCompile(`"\$ref":"#/components/schemas/([^"]+)"`).FindAllStringSubmatch(rec.Body.String(), -1) {
		assert.Contains(t, document.Components.Schemas, ref[1])
	}
	ids := map[string]bool{}
	for path, item := range document.Paths {
		for method, op := range item {
			assert.NotEmpty(t, op.OperationID, path)
			assert.False(t, ids[op.OperationID], "%s twice", op.OperationID)
			ids[op.OperationID] = true
			assert.NotEmpty(t, op.Summary, path)
			assert.NotEmpty(t, op.Tags, path)
			assert.NotEmpty(t, op.Responses, path)
			for _, alternative := range op.Security {
				for scheme := range alternative {
					assert.Contains(t, document.Components.SecuritySchemes, scheme)
				}
			}
			for _, name := range regexp.MustCompile(`{(\w+)}`).FindAllStringSubmatch(path, -1) {
				assert.Contains(t, op.Parameters, struct{ Name, In string }{name[1], "path"}, method+" "+path)
			}
			if strings.HasPrefix(path, "/api/admin/") {
				assert.NotEmpty(t, op.Security, path)
			}
		}
	}
}

// The page runs no script and loads nothing from elsewhere, so that it works under a policy that forbids both.
func TestDocumentPage(t *testing.T) {
	e := documented()
	rec := get(e, "/api/docs")
	require.Equal(t, 200, rec.Code)
	assert.Equal(t, "text/html; charset=utf-8", rec.Header().Get("Content-Type"))
	assert.Contains(t, rec.Header().Get("Content-Security-Policy"), "default-src 'none'")
	page := rec.Body.String()
	ids, targets := map[string]bool{}, []string{}
	for z := html.NewTokenizer(strings.NewReader(page)); ; {
		kind := z.Next()
		if kind == html.ErrorToken {
			require.ErrorIs(t, z.Err(), io.EOF)
			break
		}
		token := z.Token()
		assert.NotContains(t, []string{"script", "style", "iframe", "img"}, token.Data, "token of the page")
		for _, attribute := range token.Attr {
			assert.NotEqual(t, "style", attribute.Key)
			assert.False(t, strings.HasPrefix(attribute.Key, "on"), attribute.Key)
			switch attribute.Key {
			case "id":
				assert.False(t, ids[attribute.Val], "id %s twice", attribute.Val)
				ids[attribute.Val] = true
			case "href":
				targets = append(targets, attribute.Val)
			}
		}
	}
	for _, target := range targets {
		if anchor, internal := strings.CutPrefix(target, "#"); internal {
			assert.True(t, ids[anchor], target)
		} else {
			assert.Equal(t, 200, get(e, "/api/"+target).Code, target)
		}
	}
	for _, text := range []string{"/api/admin/applications", "/api/auth/oauth2/token", "Idempotency-Key", "redirectUris", "webhook-signature"} {
		assert.Contains(t, page, text)
	}
	assert.Contains(t, get(e, "/api/docs.css").Header().Get("Content-Type"), "text/css")
}
