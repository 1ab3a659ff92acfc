// A page that uses the account routes with better-auth's own client, with the person's cookie.
import { createAuthClient } from 'better-auth/client'

const client = createAuthClient({ baseURL: `${new URLSearchParams(location.search).get('server')}/api/auth` })
Object.assign(window, { client })
document.querySelector('h1')!.textContent = 'Ready'
