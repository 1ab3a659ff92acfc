import { request } from './http'
import type { components } from './schema'

export type Config = components['schemas']['ConfigBody']

export const getConfig = () => request<Config>('GET', '/api/auth/config')
