import type { ClientType } from './clients'
import { request } from './http'
import type { components } from './schema'

export type Application = components['schemas']['Application']
export type ApplicationDetail = components['schemas']['ApplicationDetail']
export type CreatedApplication = components['schemas']['CreatedApplication']
export type ApplicationPage = components['schemas']['ListApplication']
export type NewApplication = components['schemas']['ApplicationInput']
export type ApplicationPatch = components['schemas']['ApplicationPatch']

export interface ApplicationQuery {
  search?: string
  type?: ClientType
  cursor?: string
}

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
