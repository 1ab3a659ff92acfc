import type { Client, ClientProperties, ClientSettings, ClientType } from './clients'
import { request } from './http'

export interface Application extends ClientProperties {
  id: string
  slug: string
  name: string
  disabled: boolean
  /** The first client's; type and the client's properties are also that client's. */
  clientId: string
  type: ClientType
  audiences: string[]
  accessTokenFormat: 'jwt' | 'opaque'
  /** Seconds; null is as configured. */
  accessTokenLifetime: number | null
  logoUri: string | null
  homepageUri: string | null
  policyUri: string | null
  tosUri: string | null
  clientCount: number
  createdAt: string
  updatedAt: string
}

export interface ApplicationDetail extends Application {
  clients: Client[]
  counts: { clients: number; grants: number; users: number; atLeast: boolean }
}

export interface CreatedApplication extends ApplicationDetail {
  /** Shown only now; null for a public client. */
  clientSecret: string | null
}

export interface ApplicationPage {
  items: Application[]
  nextCursor: string | null
  total: number
  totalIsEstimate: boolean
}

export interface ApplicationQuery {
  search?: string
  type?: ClientType
  cursor?: string
}

type ApplicationSettings = ClientSettings &
  Pick<
    Application,
    | 'slug'
    | 'audiences'
    | 'accessTokenFormat'
    | 'accessTokenLifetime'
    | 'logoUri'
    | 'homepageUri'
    | 'policyUri'
    | 'tosUri'
  >

export type NewApplication = Pick<Application, 'name' | 'type'> & Partial<ApplicationSettings>
export type ApplicationPatch = Partial<Pick<Application, 'name' | 'disabled'> & ApplicationSettings>

const base = '/api/admin/applications'
export const applicationPath = (id: string) => `${base}/${encodeURIComponent(id)}`

export function listApplications({ search, type, cursor }: ApplicationQuery) {
  const query = new URLSearchParams({ limit: '25' })
  if (search) query.set('search', search)
  if (type) query.set('type', type)
  if (cursor) query.set('cursor', cursor)
  return request<ApplicationPage>('GET', `${base}?${query}`)
}

export const createApplication = (body: NewApplication, idempotencyKey: string) =>
  request<CreatedApplication>('POST', base, { body, idempotencyKey })

export const getApplication = (id: string) => request<ApplicationDetail>('GET', applicationPath(id))

export const updateApplication = (id: string, body: ApplicationPatch) =>
  request<ApplicationDetail>('PATCH', applicationPath(id), { body })

export const deleteApplication = (id: string) => request<void>('DELETE', applicationPath(id))
