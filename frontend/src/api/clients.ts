import { applicationPath } from './applications'
import { request } from './http'

export const clientTypes = ['web', 'spa', 'native', 'm2m'] as const
export type ClientType = (typeof clientTypes)[number]

export interface ClientProperties {
  redirectUris: string[]
  postLogoutRedirectUris: string[]
  allowedOrigins: string[]
  scopes: string[]
  grantTypes: string[]
  tokenEndpointAuthMethod: 'client_secret_basic' | 'client_secret_post' | 'none'
  skipConsent: boolean
  requirePkce: boolean
}

/** What a form may set; the server has a default for whatever is left out. */
export type ClientSettings = Pick<
  ClientProperties,
  'redirectUris' | 'postLogoutRedirectUris' | 'allowedOrigins' | 'scopes' | 'skipConsent' | 'requirePkce'
>

export interface ClientSecret {
  /** Its first characters. */
  hint: string
  createdAt: string
  /** Null for the current one. */
  expiresAt: string | null
}

export interface Client extends ClientProperties {
  clientId: string
  name: string
  type: ClientType
  disabled: boolean
  secrets: ClientSecret[]
  createdAt: string
  updatedAt: string
}

export interface CreatedClient extends Client {
  clientSecret: string | null
}

export interface RotatedSecret {
  clientId: string
  clientSecret: string
  previousSecretExpiresAt: string | null
}

export type NewClient = Pick<Client, 'name' | 'type'> & Partial<ClientSettings>

const clientPath = (application: string, clientId: string) =>
  `${applicationPath(application)}/clients/${encodeURIComponent(clientId)}`

export const createClient = (application: string, body: NewClient, idempotencyKey: string) =>
  request<CreatedClient>('POST', `${applicationPath(application)}/clients`, { body, idempotencyKey })

export const deleteClient = (application: string, clientId: string) =>
  request<void>('DELETE', clientPath(application, clientId))

export const rotateSecret = (application: string, clientId: string, graceSeconds: number) =>
  request<RotatedSecret>('POST', `${clientPath(application, clientId)}/rotate-secret`, { body: { graceSeconds } })

/** A public client cannot keep a secret, so it has none. */
export const isPublic = (type: ClientType) => type === 'spa' || type === 'native'
