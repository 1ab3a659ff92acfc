package admin

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"auth-service/store"
)

// describeEvents adds what we send to webhooks, so that receivers can generate its types as well.
func describeEvents(api huma.API) {
	document := api.OpenAPI()
	schemas := document.Components.Schemas.Map()
	schemas["ThresholdEvent"] = event("A quota is used up to one of its thresholds.", store.WebhookThreshold, object("", described{
		"applicationId*": text(""), "userId*": nullableText("Whose quota it is; null when it is an organization's."),
		"organizationId*": nullableText("Whose quota it is; null when it is a person's."), "key*": text("Of the feature."),
		"threshold*": whole("Percent of the limit."), "limit*": decimalNumber(), "total*": decimalNumber(),
		"period*": object("Null on both sides: for all time.", described{"start*": nullableDate(), "end*": nullableDate()}),
	}))
	schemas["TestEvent"] = event("An operator tries the webhook.", store.WebhookTest, object("", described{"applicationId*": text(""), "message*": text("")}))
	document.Webhooks = map[string]*huma.PathItem{
		store.WebhookThreshold: {Post: message("receiveThreshold", "A quota is used up to one of its thresholds, once a period each", "ThresholdEvent")},
		store.WebhookTest:      {Post: message("receiveTest", "An operator tries the webhook", "TestEvent")},
	}
}

func event(doc, kind string, data *huma.Schema) *huma.Schema {
	return object(doc, described{"type*": text("", kind), "timestamp*": date("When it happened."), "data*": data})
}

func decimalNumber() *huma.Schema {
	return &huma.Schema{Type: huma.TypeNumber, Description: "Exact, with up to six decimals."}
}

func nullableDate() *huma.Schema {
	s := date("")
	s.Nullable = true
	return s
}

// message is a request of ours to whoever has a webhook.
func message(id, summary, schema string) *huma.Operation {
	header := func(name, doc string) *huma.Param {
		return &huma.Param{Name: name, In: "header", Required: true, Description: doc, Schema: text("")}
	}
	return &huma.Operation{
		OperationID: id, Method: http.MethodPost, Path: "the URL of the webhook", Summary: summary, Tags: []string{"Webhooks"},
		Description: "Answer with a status from 200 to 299 within the configured time. Else it is sent again, eight times in all: after 5 s, 5 and 30 minutes, 2, 5, 10 and 10 hours. 410 disables the webhook.",
		Parameters: []*huma.Param{
			header("webhook-id", "The same however often the event is sent."), header("webhook-timestamp", "Of this attempt, in seconds since 1970."),
			header("webhook-signature", "v1, and the base64 of HMAC-SHA256 over id.timestamp.body (Standard Webhooks); two of them, with a space between, while a secret is replaced."),
		},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: refer(schema)}}},
		Responses:   map[string]*huma.Response{"204": {Description: "Received."}},
	}
}
