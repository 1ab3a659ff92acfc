package admin

import (
	"maps"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

const formType = "application/x-www-form-urlencoded"

// DescribeOAuth adds the OAuth and OpenID Connect endpoints to the API's document. They are not huma's: their parameters
// come as forms, and their errors have the shape of RFC 6749, so they are described here by hand. Call it once, when all
// else is registered.
func DescribeOAuth(api huma.API) {
	describeSecurity(api)
	schemas := api.OpenAPI().Components.Schemas.Map()
	for name, schema := range oauthSchemas() {
		if schemas[name] != nil {
			panic("admin: two schemas are called " + name)
		}
		schemas[name] = schema
	}
	for _, operations := range [][]*huma.Operation{authorizeOperations(), tokenOperations(), userInfoOperations(), logoutOperations(), metadataOperations(), requestOperations(), consentOperations()} {
		for _, op := range operations {
			api.OpenAPI().AddOperation(op)
		}
	}
}

// described are the properties of an object; a name that ends in * is required.
type described map[string]*huma.Schema

func object(doc string, properties described) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeObject, Description: doc, Properties: map[string]*huma.Schema{}}
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		plain, required := strings.CutSuffix(name, "*")
		s.Properties[plain] = properties[name]
		if required {
			s.Required = append(s.Required, plain)
		}
	}
	return s
}

func text(doc string, enum ...any) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Description: doc, Enum: enum}
}

func nullableText(doc string, enum ...any) *huma.Schema {
	s := text(doc, enum...)
	s.Nullable = true
	return s
}

func uri(doc string) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "uri", Description: doc}
}
func date(doc string) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time", Description: doc}
}
func whole(doc string) *huma.Schema { return &huma.Schema{Type: huma.TypeInteger, Description: doc} }
func flag(doc string) *huma.Schema  { return &huma.Schema{Type: huma.TypeBoolean, Description: doc} }

func listOf(items *huma.Schema, doc string) *huma.Schema {
	return &huma.Schema{Type: huma.TypeArray, Items: items, Description: doc}
}

func refer(name string) *huma.Schema { return &huma.Schema{Ref: "#/components/schemas/" + name} }

func oauthSchemas() map[string]*huma.Schema {
	return map[string]*huma.Schema{
		"OAuthError": object("An error of the OAuth endpoints (RFC 6749 §5.2).", described{
			"error*": text("What went wrong, for programs."), "error_description": text("What went wrong, for people."),
		}),
		"TokenResponse": object("RFC 6749 §5.1.", described{
			"access_token*": text(""), "token_type*": text("", "Bearer"), "expires_in*": whole("Seconds."), "scope*": text("What was granted."),
			"refresh_token": text("Replaces the one that was used."), "id_token": text("With scope openid."),
		}),
		"Introspection": introspectionSchema(),
		"UserInfo":      userInfoSchema(),
		"JWKSet": object("RFC 7517 §5.", described{
			"keys*": listOf(&huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}, "With use, alg and kid. The next key is listed before it signs."),
		}),
		"AuthorizationRequest": signInRequestSchema(),
		"RequestClient": object("The client that asks.", described{
			"clientId*": text(""), "name*": text(""), "logoUri": uri(""), "homepageUri": uri(""), "policyUri": uri(""), "tosUri": uri(""),
			"redirectHost*": text("Where the answer goes."),
		}),
		"RequestScope": object("A scope that it asks for, in words.", described{
			"name*": text(""), "title*": text(""), "description*": text(""), "granted*": flag("The person consented to it before."),
		}),
		"RequestOrganization": object("An organization of the person.", described{
			"id*": text(""), "name*": text(""), "slug*": text(""), "logo*": nullableText(""), "role*": text("What the person is there.", "owner", "admin", "member"),
		}),
		"OrganizationChoice": object("", described{"organizationId*": text("One of organizations.")}),
		"RedirectAnswer":     object("Where the browser goes next.", described{"redirectTo*": uri("")}),
		"ConsentDecision":    object("", described{"accept*": flag("False sends access_denied to the client."), "scopes": listOf(text(""), "Those that the person ticked; all when absent.")}),
		"Consent": object("An application that the person connected.", described{
			"clientId*": text(""), "name*": text(""), "logoUri": uri(""), "homepageUri": uri(""), "scopes*": listOf(text(""), ""),
			"createdAt*": date(""), "updatedAt*": date(""), "lastUsedAt": date(""),
		}),
		"SignOutConfirmation": object("", described{
			"confirm*": flag("True."), "client_id": text(""), "post_logout_redirect_uri": uri(""), "state": text(""),
		}),
	}
}

func introspectionSchema() *huma.Schema {
	s := object("RFC 7662 §2.2. Only active is there when it is false.", described{
		"active*": flag(""), "token_type": text(""), "scope": text(""), "client_id": text(""), "sub": text(""), "iss": uri(""),
		"aud": listOf(text(""), ""), "exp": whole(""), "iat": whole(""), "jti": text(""),
	})
	s.AdditionalProperties = true
	return s
}

func userInfoSchema() *huma.Schema {
	s := object("OIDC Core §5.3, as the scopes allow.", described{
		"sub*": text("The user's id."), "name": text(""), "picture": uri(""), "email": text(""), "email_verified": flag(""), "updated_at": whole(""),
	})
	s.AdditionalProperties = true
	return s
}

func signInRequestSchema() *huma.Schema {
	user := object("Null when nobody is signed in.", described{"id*": text(""), "name*": text(""), "email*": text(""), "image*": text("Empty when there is none.")})
	user.Nullable = true
	return object("An authorization request that waits for the person.", described{
		"id*": text(""), "client*": refer("RequestClient"), "scopes*": listOf(refer("RequestScope"), ""), "user*": user, "expiresAt*": date(""),
		"next*":      nullableText("What is needed now; null when redirectTo is there.", "sign_in", "sign_up", "select_account", "organization", "consent", nil),
		"redirectTo": uri("Where the browser goes with the answer."), "loginHint": text(""), "uiLocales": listOf(text(""), ""),
		"organizations":         listOf(refer("RequestOrganization"), "With scope org, when next is organization or consent: those among which the person may choose, by name."),
		"organization":          refer("RequestOrganization"), // the one that the request is for, once there is one
		"defaultOrganizationId": text("The one for which the person acts where nothing else is said."),
	})
}

// endpoint describes one operation. Its answers are added by the functions below.
func endpoint(id, method, path, summary, tag string) *huma.Operation {
	return &huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{tag}, Responses: map[string]*huma.Response{}}
}

func answer(op *huma.Operation, status, doc string, schema *huma.Schema) *huma.Operation {
	return answerAs(op, status, doc, "application/json", schema)
}

func answerAs(op *huma.Operation, status, doc, contentType string, schema *huma.Schema) *huma.Operation {
	op.Responses[status] = &huma.Response{Description: doc}
	if schema != nil {
		op.Responses[status].Content = map[string]*huma.MediaType{contentType: {Schema: schema}}
	}
	return op
}

// oauthErrors adds the answers that every endpoint with client authentication or a token has.
func oauthErrors(op *huma.Operation) *huma.Operation {
	answer(op, "400", "The request is not valid.", refer("OAuthError"))
	answer(op, "401", "The client or the token is not accepted; see WWW-Authenticate.", refer("OAuthError"))
	return answer(op, "503", "Try again; see Retry-After.", refer("OAuthError"))
}

func problems(op *huma.Operation, statuses ...string) *huma.Operation {
	for _, status := range statuses {
		answerAs(op, status, map[string]string{
			"400": "The request is not valid.", "401": "Nobody is signed in.", "403": "The request comes from another site.",
			"404": "Unknown.", "410": "The request has expired or is completed.",
		}[status], "application/problem+json", refer("Problem"))
	}
	return op
}

func form(op *huma.Operation, schema *huma.Schema) *huma.Operation {
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{formType: {Schema: schema}}}
	return op
}

func jsonBody(op *huma.Operation, name string) *huma.Operation {
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: refer(name)}}}
	return op
}

// query turns the properties of a form into query parameters.
func query(op *huma.Operation, schema *huma.Schema) *huma.Operation {
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		s := schema.Properties[name]
		op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: "query", Description: s.Description, Required: slices.Contains(schema.Required, name), Schema: s})
	}
	return op
}

func inPath(op *huma.Operation, name string) *huma.Operation {
	op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: "path", Required: true, Schema: text("")})
	return op
}

func secured(op *huma.Operation, schemes ...string) *huma.Operation {
	for _, scheme := range schemes {
		requirement := map[string][]string{}
		if scheme != "" { // "" is no authentication: a public client's, at the token endpoint
			requirement[scheme] = []string{}
		}
		op.Security = append(op.Security, requirement)
	}
	return op
}

func authorizeOperations() []*huma.Operation {
	parameters := func() *huma.Schema {
		return object("", described{
			"client_id*": text(""), "response_type*": text("", "code"), "redirect_uri": uri("Exactly as registered. May be left out when there is only one."),
			"scope": text("Separated by spaces."), "state": text("Comes back with the answer."), "response_mode": text("", "query", "fragment", "form_post"),
			"code_challenge": text("PKCE, required unless the client is exempt (RFC 7636)."), "code_challenge_method": text("", "S256"), "nonce": text(""),
			"prompt": text("none, login, consent, select_account, create, or several of them separated by spaces."), "max_age": whole("Seconds since the sign-in."),
			"login_hint": text(""), "id_token_hint": text(""), "ui_locales": text(""), "acr_values": text(""), "claims": text("JSON (OIDC Core §5.5)."),
			"resource": listOf(uri(""), "May be repeated (RFC 8707)."),
		})
	}
	describe := func(op *huma.Operation) *huma.Operation {
		op.Description = "The answer goes to the redirect URI, with iss (RFC 9207). A request that must not be answered there leads to an error page, or is answered here when the caller is not a browser."
		answer(op, "303", "To the client, or to a page where the person signs in or consents.", nil)
		answerAs(op, "200", "With response_mode form_post: a page that posts the answer.", "text/html", text(""))
		return answer(op, "400", "The client or its redirect URI is not known.", refer("OAuthError"))
	}
	return []*huma.Operation{
		describe(query(endpoint("authorize", "GET", "/api/auth/oauth2/authorize", "Ask a person for authorization", "OAuth"), parameters())),
		describe(form(endpoint("authorizeByForm", "POST", "/api/auth/oauth2/authorize", "Ask a person for authorization, by form", "OAuth"), parameters())),
	}
}

func tokenOperations() []*huma.Operation {
	tokenForm := object("", described{
		"grant_type*": text("", "authorization_code", "refresh_token", "client_credentials"), "code": text("authorization_code"),
		"redirect_uri": uri("authorization_code: as in the request"), "code_verifier": text("authorization_code: PKCE"),
		"refresh_token": text("refresh_token"), "scope": text("refresh_token: a part of what was granted; client_credentials: a part of what is registered"),
		"resource": listOf(uri(""), "May be repeated (RFC 8707)."), "client_id": text("Of a public client, or with client_secret_post."), "client_secret": text("With client_secret_post."),
	})
	one := func() *huma.Schema {
		return object("", described{
			"token*": text(""), "token_type_hint": text("", "access_token", "refresh_token"),
			"client_id": text("Of a public client, or with client_secret_post."), "client_secret": text("With client_secret_post."),
		})
	}
	introspect := form(endpoint("introspect", "POST", "/api/auth/oauth2/introspect", "Ask whether a token is good", "OAuth"), one())
	introspect.Description = "RFC 7662. A client sees tokens of its application's clients and tokens whose aud is its application's; all others are inactive."
	revoke := form(endpoint("revoke", "POST", "/api/auth/oauth2/revoke", "Revoke a token", "OAuth"), one())
	revoke.Description = "RFC 7009. Also 200 for a token that is unknown."
	return []*huma.Operation{
		oauthErrors(answer(secured(form(endpoint("token", "POST", "/api/auth/oauth2/token", "Get tokens", "OAuth"), tokenForm), "client", ""), "200", "Never cached.", refer("TokenResponse"))),
		oauthErrors(answer(secured(introspect, "client"), "200", "", refer("Introspection"))),
		oauthErrors(answer(secured(revoke, "client", ""), "200", "Revoked, or unknown.", nil)),
	}
}

func userInfoOperations() []*huma.Operation {
	get := endpoint("userInfo", "GET", "/api/auth/oauth2/userinfo", "Get the claims of the person", "OAuth")
	post := endpoint("userInfoByForm", "POST", "/api/auth/oauth2/userinfo", "Get the claims of the person, with the token in the form", "OAuth")
	post.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{formType: {Schema: object("", described{"access_token": text("When there is no Authorization header.")})}}}
	var out []*huma.Operation
	for _, op := range []*huma.Operation{secured(get, "bearer"), secured(post, "bearer", "")} {
		answer(op, "200", "", refer("UserInfo"))
		answer(op, "401", "The token is missing or no longer good; see WWW-Authenticate (RFC 6750 §3).", refer("OAuthError"))
		answer(op, "403", "The token does not have the scope openid.", refer("OAuthError"))
		out = append(out, op)
	}
	return out
}

func logoutOperations() []*huma.Operation {
	parameters := func() *huma.Schema {
		return object("", described{"id_token_hint": text("Without it the person confirms."), "client_id": text(""), "post_logout_redirect_uri": uri("Exactly as registered."), "state": text(""), "ui_locales": text("")})
	}
	get := query(endpoint("endSession", "GET", "/api/auth/oauth2/end-session", "Sign out (RP-initiated)", "OAuth"), parameters())
	answer(get, "303", "Back to the client, or to a page where the person confirms.", nil)
	post := form(endpoint("endSessionByForm", "POST", "/api/auth/oauth2/end-session", "Sign out (RP-initiated), by form or confirmed by the person", "OAuth"), parameters())
	post.RequestBody.Content["application/json"] = &huma.MediaType{Schema: refer("SignOutConfirmation")}
	answer(post, "303", "For a form: back to the client, or to a page where the person confirms.", nil)
	answer(post, "200", "For JSON, which our own page sends.", refer("RedirectAnswer"))
	return []*huma.Operation{get, problems(post, "400", "403")}
}

func metadataOperations() []*huma.Operation {
	metadata := &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true, Description: "RFC 8414 and OIDC Discovery §3."}
	ops := []*huma.Operation{answer(endpoint("jwks", "GET", "/api/auth/jwks", "Get the public keys", "OAuth"), "200", "May be cached; see Cache-Control.", refer("JWKSet"))}
	for _, at := range []struct{ id, path string }{
		{"openidConfiguration", "/api/auth/.well-known/openid-configuration"},
		{"oauthServerMetadata", "/.well-known/oauth-authorization-server/api/auth"},
		{"openidConfigurationByPath", "/.well-known/openid-configuration/api/auth"},
		{"openidConfigurationAtRoot", "/.well-known/openid-configuration"},
		{"oauthServerMetadataAtRoot", "/.well-known/oauth-authorization-server"},
	} {
		ops = append(ops, answer(endpoint(at.id, "GET", at.path, "Get the metadata", "OAuth"), "200", "The same at each of its addresses.", metadata))
	}
	return ops
}

func requestOperations() []*huma.Operation {
	const one = "/api/auth/oauth2/requests/{id}"
	show := func(op *huma.Operation, statuses ...string) *huma.Operation {
		return problems(answer(inPath(op, "id"), "200", "", refer("AuthorizationRequest")), append(statuses, "404", "410")...)
	}
	return []*huma.Operation{
		show(endpoint("getSignInRequest", "GET", one, "See what an authorization request needs next", "Sign-in")),
		show(jsonBody(secured(endpoint("decideConsent", "POST", one+"/consent", "Consent to an authorization request, or refuse", "Sign-in"), "session"), "ConsentDecision"), "400", "401", "403"),
		show(secured(endpoint("keepAccount", "POST", one+"/select-account", "Go on with the current account", "Sign-in"), "session"), "401", "403"),
		show(jsonBody(secured(endpoint("chooseOrganization", "POST", one+"/organization", "Say for which organization the request is", "Sign-in"), "session"), "OrganizationChoice"), "400", "401", "403"),
		problems(answer(inPath(endpoint("cancelSignIn", "POST", one+"/cancel", "Give up an authorization request", "Sign-in"), "id"), "200", "The client is told access_denied.", refer("RedirectAnswer")), "403", "404", "410"),
	}
}

func consentOperations() []*huma.Operation {
	const all = "/api/auth/oauth2/consents"
	remove := secured(endpoint("removeConsent", "DELETE", all+"/{clientId}", "Disconnect an application and end its grants", "Account"), "session")
	return []*huma.Operation{
		problems(answer(secured(endpoint("listConsents", "GET", all, "List connected applications", "Account"), "session"), "200", "", listOf(refer("Consent"), "")), "401"),
		problems(answer(inPath(remove, "clientId"), "204", "Disconnected.", nil), "401", "403", "404"),
	}
}
