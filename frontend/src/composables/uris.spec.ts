import { expect, test } from 'vitest'
import { audienceFault, linkFault, originFault, redirectFault } from './uris'

test.each([
  ['https://app.example.com/cb', false, undefined],
  ['http://localhost:3000/cb', false, undefined],
  ['http://127.0.0.1/cb', false, undefined],
  ['http://[::1]:9/cb', false, undefined],
  ['http://app.example.com/cb', false, 'http'],
  ['https://app.example.com/cb#x', false, 'fragment'],
  ['https://*.example.com/cb', false, 'wildcard'],
  ['https://me:secret@app.example.com/cb', false, 'credentials'],
  ['https://app.example.com/a b', false, 'characters'],
  ['/cb', false, 'notUri'],
  ['', false, 'empty'],
  ['com.example.app:/cb', false, 'scheme'],
  ['com.example.app:/cb', true, undefined],
  ['myapp:/cb', true, 'privateScheme'],
  ['javascript:alert(1)', true, 'privateScheme'],
] as const)('redirect URI %s (native: %s) is %s', (uri, native, fault) => {
  expect(redirectFault(uri, native)).toBe(fault)
})

test.each([
  ['https://app.example.com', undefined],
  ['https://app.example.com:8443', undefined],
  ['https://app.example.com/', 'notOrigin'],
  ['https://App.example.com', 'notOrigin'],
  ['https://app.example.com:443', 'notOrigin'],
  ['http://app.example.com', 'http'],
] as const)('origin %s is %s', (uri, fault) => {
  expect(originFault(uri)).toBe(fault)
})

// A javascript: link on the consent page would be stored XSS.
test('links are web addresses', () => {
  expect(linkFault('javascript:alert(1)')).toBe('scheme')
  expect(linkFault('https://example.com/logo.png')).toBeUndefined()
})

test('audiences may be any absolute URI', () => {
  expect(audienceFault('urn:api:crm')).toBeUndefined()
  expect(audienceFault('https://api.example.com#x')).toBe('fragment')
  expect(audienceFault('crm')).toBe('notUri')
})
