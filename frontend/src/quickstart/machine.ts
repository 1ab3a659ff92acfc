import type { Snippet, Values } from '.'
import { quoted, shellQuoted } from './literals'

const scope = (v: Values) => v.scopes.join(' ')

export function curl(v: Values): Snippet {
  const scopes = v.scopes.length > 0 ? ` \\\n  --data-urlencode ${shellQuoted(`scope=${scope(v)}`)}` : ''
  return {
    id: 'curl',
    label: 'curl',
    install: '',
    file: 'token.sh',
    code: `curl --fail-with-body --user "${v.clientId}:$CLIENT_SECRET" \\
  --data grant_type=client_credentials${scopes} \\
  ${v.issuer}/oauth2/token
`,
  }
}

export function nodeMachine(v: Values): Snippet {
  const options = v.issuer.startsWith('http://')
    ? `\n  { execute: [client.allowInsecureRequests] }, // http, for development only`
    : ''
  return {
    id: 'node',
    label: 'Node.js',
    install: 'npm install openid-client',
    file: 'token.mjs',
    code: `import * as client from 'openid-client'

const config = await client.discovery(
  new URL(${quoted(v.issuer)}),
  ${quoted(v.clientId)},
  undefined,
  client.ClientSecretBasic(process.env.CLIENT_SECRET),${options}
)

const tokens = await client.clientCredentialsGrant(config, ${v.scopes.length > 0 ? `{ scope: ${quoted(scope(v))} }` : '{}'})
console.log(tokens.access_token, tokens.expires_in)
`,
  }
}

export function goMachine(v: Values): Snippet {
  return {
    id: 'go',
    label: 'Go',
    install: 'go get golang.org/x/oauth2',
    file: 'main.go',
    code: `package main

import (
	"context"
	"log"
	"os"

	"golang.org/x/oauth2/clientcredentials"
)

func main() {
	config := clientcredentials.Config{
		ClientID:     "${v.clientId}",
		ClientSecret: os.Getenv("CLIENT_SECRET"),
		TokenURL:     "${v.issuer}/oauth2/token",
		Scopes:       []string{${v.scopes.map((name) => `"${name}"`).join(', ')}},
	}
	// This client fetches a token when it needs one, and sends it with every request.
	client := config.Client(context.Background())
	response, err := client.Get("https://api.example.com/")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	log.Println(response.Status)
}
`,
  }
}

export function pythonMachine(v: Values): Snippet {
  return {
    id: 'python',
    label: 'Python',
    install: 'pip install authlib requests',
    file: 'token.py',
    code: `import os

from authlib.integrations.requests_client import OAuth2Session

client = OAuth2Session("${v.clientId}", os.environ["CLIENT_SECRET"], scope="${scope(v)}")
token = client.fetch_token("${v.issuer}/oauth2/token", grant_type="client_credentials")
print(token["access_token"], token["expires_in"])
`,
  }
}
