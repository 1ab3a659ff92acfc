import { applicationPath } from './applications'
import { request } from './http'
import type { components } from './schema'

export type Client = components['schemas']['Client']
export type CreatedClient = components['schemas']['CreatedClient']
export type RotatedSecret = components['schemas']['RotatedSecret']
export type NewClient = components['schemas']['ClientInput']
export type ClientType = Client['type']

/** The types in the order in which a form offers them. */
export const clientTypes = ['web', 'spa', 'native', 'm2m'] as const satisfies readonly ClientType[]

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
