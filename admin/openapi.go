package admin

import "github.com/danielgtaylor/huma/v2"

func describeSecurity(api huma.API) {
	components := api.OpenAPI().Components
	if components.SecuritySchemes == nil {
		components.SecuritySchemes = map[string]*huma.SecurityScheme{}
	}
	components.SecuritySchemes["session"] = &huma.SecurityScheme{
		Type: "apiKey", In: "cookie", Name: "auth_session", Description: "The browser session; the cookie is called __Host-auth_session on https.",
	}
	components.SecuritySchemes["bearer"] = &huma.SecurityScheme{
		Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "An access token.",
	}
}
