import { http, HttpResponse } from 'msw'
import { setupServer } from 'msw/node'
import type { User } from '@/api/account'
import type { Invitation, Organization } from '@/api/organizations'
import type { AuthorizationRequest } from '@/api/requests'

export const ada: User = {
  id: 'u1',
  name: 'Ada Lovelace',
  email: 'ada@example.com',
  emailVerified: true,
  image: null,
  role: 'user',
  createdAt: '2026-01-01T00:00:00.000Z',
  updatedAt: '2026-01-01T00:00:00.000Z',
  banned: false,
  banReason: null,
  banExpires: null,
  twoFactorEnabled: false,
}

/** Ada, as an authorization request shows her. */
export const requestUser = { id: ada.id, name: ada.name, email: ada.email, image: '' }

export const authorization = (fields: Partial<AuthorizationRequest> = {}): AuthorizationRequest => ({
  id: 'r1',
  client: { clientId: 'crm', name: 'Acme CRM', redirectHost: 'crm.example.com' },
  scopes: [
    { name: 'openid', title: 'openid', description: '', granted: false },
    { name: 'email', title: 'email', description: '', granted: false },
    { name: 'invoice:read', title: 'Read your invoices', description: 'Amounts and dates', granted: true },
  ],
  next: 'sign_in',
  user: null,
  expiresAt: '2026-01-01T01:00:00.000Z',
  ...fields,
})

export const organization = (name: string, fields: Partial<Organization> = {}): Organization => ({
  id: `o-${name.toLowerCase()}`,
  name,
  slug: name.toLowerCase(),
  logo: null,
  role: 'member',
  metadata: {},
  createdAt: '2026-01-01T00:00:00.000Z',
  ...fields,
})

/** Ada is invited to an organization. */
export const invitation = (organizationName: string): Invitation => ({
  id: 'i1',
  organizationId: 'o1',
  organizationName,
  email: ada.email,
  role: 'admin',
  status: 'pending',
  expiresAt: '2026-01-03T12:00:00.000Z',
  createdAt: '2026-01-01T12:00:00.000Z',
  inviterId: 'u2',
})

/** The server as a visitor finds it who is signed out; a test adds what it needs on top. */
export const server = setupServer(
  http.get('*/api/auth/get-session', () => HttpResponse.json(null)),
  http.get('*/api/auth/config', () =>
    HttpResponse.json({
      appName: 'CIRCLE Auth',
      signUpEnabled: true,
      passwordMinLength: 8,
      passwordMaxLength: 128,
      version: 'test',
      locales: ['en', 'fr'],
      issuer: 'http://idp.test/api/auth',
    }),
  ),
)

/** From now on the person is signed in, and acts for the organization. */
export const signedInAs = (user: User, activeOrganizationId: string | null = null) =>
  server.use(
    http.get('*/api/auth/get-session', () =>
      HttpResponse.json({ session: { id: 's1', expiresAt: '2026-02-01T00:00:00.000Z', activeOrganizationId }, user }),
    ),
  )

export const problem = (status: number, code: string, headers: Record<string, string> = {}) =>
  HttpResponse.json(
    { status, code, title: code, detail: code },
    { status, headers: { 'Content-Type': 'application/problem+json', ...headers } },
  )
