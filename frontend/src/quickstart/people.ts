import type { Snippet, Values } from '.'
import { goFields, quoted } from './literals'

// openid-client and oauth4webapi refuse plain http unless told; an issuer on localhost needs that during development.
const insecure = (v: Values) => v.issuer.startsWith('http://')

const path = (v: Values) => new URL(v.redirectUri).pathname
const port = (v: Values) => new URL(v.redirectUri).port || '3000'
const start = (v: Values) => (path(v) === '/' ? '/sign-in' : '/')

export function node(v: Values): Snippet {
  const authentication = v.confidential ? 'client.ClientSecretBasic(process.env.CLIENT_SECRET)' : 'client.None()'
  const options = insecure(v) ? `,\n  { execute: [client.allowInsecureRequests] }, // http, for development only` : ','
  return {
    id: 'node',
    label: 'Node.js',
    install: 'npm install openid-client',
    file: 'server.mjs',
    code: `import { createServer } from 'node:http'
import * as client from 'openid-client'

const redirectUri = ${quoted(v.redirectUri)}
const config = await client.discovery(
  new URL(${quoted(v.issuer)}),
  ${quoted(v.clientId)},
  undefined,
  ${authentication}${options}
)

createServer(async (req, res) => {
  const url = new URL(req.url, redirectUri)
  if (url.pathname === ${quoted(start(v))}) return signIn(res)
  if (url.pathname === ${quoted(path(v))}) return finish(req, res, url)
  res.writeHead(404).end()
}).listen(${port(v)})

async function signIn(res) {
  const verifier = client.randomPKCECodeVerifier()
  const state = client.randomState()
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri,
    scope: ${quoted(v.scopes.join(' '))},
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
  })
  // Ties the answer to this browser, so that nobody can slip in an answer of their own.
  res.setHeader('Set-Cookie', \`login=\${state}.\${verifier}; HttpOnly; SameSite=Lax; Path=/; Max-Age=600\`)
  res.writeHead(302, { Location: url.href }).end()
}

async function finish(req, res, url) {
  const [expectedState, pkceCodeVerifier] = /login=([^;]+)/.exec(req.headers.cookie ?? '')?.[1].split('.') ?? []
  const tokens = await client.authorizationCodeGrant(config, url, { expectedState, pkceCodeVerifier, idTokenExpected: true })
  res.end(\`Hello \${tokens.claims().name ?? tokens.claims().sub}\`)
}
`,
  }
}

export function browser(v: Values): Snippet {
  const option = insecure(v) ? ', { [oauth.allowInsecureRequests]: true }' : ''
  return {
    id: 'browser',
    label: 'JavaScript',
    install: 'npm install oauth4webapi',
    file: 'auth.js',
    code: `import * as oauth from 'oauth4webapi'

const issuer = new URL(${quoted(v.issuer)})
const client = { client_id: ${quoted(v.clientId)} }
const redirectUri = ${quoted(v.redirectUri)}
const server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer${option}))

/** Call this when somebody presses "Sign in". */
export async function signIn() {
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  sessionStorage.setItem('login', JSON.stringify({ verifier, state }))

  const url = new URL(server.authorization_endpoint)
  url.search = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope: ${quoted(v.scopes.join(' '))},
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
  })
  location.assign(url)
}

/** Call this on the page at ${v.redirectUri}. */
export async function finishSignIn() {
  const { verifier, state } = JSON.parse(sessionStorage.getItem('login'))
  sessionStorage.removeItem('login')
  const parameters = oauth.validateAuthResponse(server, client, new URL(location.href), state)
  const response = await oauth.authorizationCodeGrantRequest(
    server, client, oauth.None(), parameters, redirectUri, verifier${option},
  )
  const tokens = await oauth.processAuthorizationCodeResponse(server, client, response, { requireIdToken: true })
  return { accessToken: tokens.access_token, person: oauth.getValidatedIdTokenClaims(tokens) }
}
`,
  }
}

export function go(v: Values): Snippet {
  const fields = goFields('\t\t', {
    ClientID: `"${v.clientId}"`,
    ClientSecret: v.confidential && 'os.Getenv("CLIENT_SECRET")',
    Endpoint: 'provider.Endpoint()',
    RedirectURL: `"${v.redirectUri}"`,
    Scopes: `[]string{${v.scopes.map((scope) => `"${scope}"`).join(', ')}}`,
  })
  return {
    id: 'go',
    label: 'Go',
    install: 'go get github.com/coreos/go-oidc/v3/oidc golang.org/x/oauth2',
    file: 'main.go',
    code: `package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"net/http"${v.confidential ? '\n\t"os"' : ''}

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

func main() {
	provider, err := oidc.NewProvider(context.Background(), "${v.issuer}")
	if err != nil {
		log.Fatal(err)
	}
	config := &oauth2.Config{
${fields}
	}
	verifier := provider.Verifier(&oidc.Config{ClientID: config.ClientID})

	http.HandleFunc("GET ${start(v)}", func(w http.ResponseWriter, r *http.Request) {
		state, pkce := rand.Text(), oauth2.GenerateVerifier()
		// Ties the answer to this browser, so that nobody can slip in an answer of their own.
		http.SetCookie(w, &http.Cookie{Name: "state", Value: state, HttpOnly: true, SameSite: http.SameSiteLaxMode})
		http.SetCookie(w, &http.Cookie{Name: "pkce", Value: pkce, HttpOnly: true, SameSite: http.SameSiteLaxMode})
		http.Redirect(w, r, config.AuthCodeURL(state, oauth2.S256ChallengeOption(pkce)), http.StatusFound)
	})
	http.HandleFunc("GET ${path(v)}", func(w http.ResponseWriter, r *http.Request) {
		state, err := r.Cookie("state")
		if err != nil || state.Value != r.FormValue("state") {
			http.Error(w, "Please start again.", http.StatusBadRequest)
			return
		}
		pkce, err := r.Cookie("pkce")
		if err != nil {
			http.Error(w, "Please start again.", http.StatusBadRequest)
			return
		}
		token, err := config.Exchange(r.Context(), r.FormValue("code"), oauth2.VerifierOption(pkce.Value))
		if err != nil {
			http.Error(w, "Signing in failed.", http.StatusBadGateway)
			return
		}
		raw, _ := token.Extra("id_token").(string)
		idToken, err := verifier.Verify(r.Context(), raw)
		if err != nil {
			http.Error(w, "Signing in failed.", http.StatusBadGateway)
			return
		}
		fmt.Fprintln(w, "Hello", idToken.Subject)
	})
	log.Fatal(http.ListenAndServe("localhost:${port(v)}", nil))
}
`,
  }
}

export function python(v: Values): Snippet {
  return {
    id: 'python',
    label: 'Python',
    install: 'pip install authlib flask requests',
    file: 'app.py',
    code: `import os
import secrets

from authlib.integrations.flask_client import OAuth
from flask import Flask, session

app = Flask(__name__)
app.secret_key = secrets.token_hex()
oauth = OAuth(app)
oauth.register(
    "idp",
    client_id="${v.clientId}",
    client_secret=os.environ["CLIENT_SECRET"],
    server_metadata_url="${v.issuer}/.well-known/openid-configuration",
    client_kwargs={"scope": "${v.scopes.join(' ')}", "code_challenge_method": "S256"},
)


@app.get("${start(v)}")
def sign_in():
    return oauth.idp.authorize_redirect("${v.redirectUri}")


@app.get("${path(v)}")
def finish():
    token = oauth.idp.authorize_access_token()
    session["user"] = token["userinfo"]["sub"]
    return f"Hello {token['userinfo'].get('name', session['user'])}"


if __name__ == "__main__":
    app.run(host="localhost", port=${port(v)})
`,
  }
}

export function android(v: Values): Snippet {
  return {
    id: 'android',
    label: 'Android',
    install: 'implementation("net.openid:appauth:0.11.1")',
    file: 'SignIn.kt',
    code: `import android.app.Activity
import android.net.Uri
import net.openid.appauth.AuthorizationRequest
import net.openid.appauth.AuthorizationService
import net.openid.appauth.AuthorizationServiceConfiguration
import net.openid.appauth.ResponseTypeValues

fun Activity.signIn(requestCode: Int) {
    AuthorizationServiceConfiguration.fetchFromIssuer(Uri.parse("${v.issuer}")) { server, failure ->
        if (server == null) throw checkNotNull(failure)
        val request = AuthorizationRequest.Builder(
            server, "${v.clientId}", ResponseTypeValues.CODE, Uri.parse("${v.redirectUri}"),
        ).setScope("${v.scopes.join(' ')}").build()
        startActivityForResult(AuthorizationService(this).getAuthorizationRequestIntent(request), requestCode)
    }
}
`,
  }
}
