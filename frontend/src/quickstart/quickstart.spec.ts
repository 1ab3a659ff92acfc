import { expect, test } from 'vitest'
import { clientTypes } from '@/api/clients'
import { snippetsFor, type Values } from '.'

const values: Values = {
  issuer: 'https://auth.example.com/api/auth',
  clientId: 'crm-1',
  redirectUri: 'https://crm.example.com/callback',
  scopes: ['openid', 'email'],
  confidential: true,
}

test.each(clientTypes)('every snippet for %s names the client and the issuer', (type) => {
  for (const { code } of snippetsFor(type, { ...values, confidential: type === 'web' || type === 'm2m' })) {
    expect(code).toContain('crm-1')
    expect(code).toContain('https://auth.example.com/api/auth')
    expect(code).not.toContain('undefined,\n  undefined')
  }
})

test('code for browsers and devices asks for no secret', () => {
  for (const type of ['spa', 'native'] as const) {
    for (const { code } of snippetsFor(type, { ...values, confidential: false })) expect(code).not.toMatch(/secret/i)
  }
})

test('a private-use scheme is for an app, not for a server on localhost', () => {
  const snippets = snippetsFor('native', { ...values, redirectUri: 'com.example.app:/cb', confidential: false })
  expect(snippets.map(({ id }) => id)).toEqual(['android'])
})

// An apostrophe is legal in a URI; it must not end the literal and turn the rest into code.
test('values cannot break out of their literals', () => {
  const [node] = snippetsFor('web', { ...values, redirectUri: "https://crm.example.com/o'hara" })
  expect(node?.code).toContain(String.raw`'https://crm.example.com/o\'hara'`)
})

test('Go fields are aligned as gofmt does', () => {
  const go = snippetsFor('web', values).find(({ id }) => id === 'go')
  expect(go?.code).toContain('\t\tClientID:     "crm-1",\n\t\tClientSecret: os.Getenv')
})
