// The smaller plugins: JWT (5.2) and the list of 5.11.

import { sign } from '../devices.mjs'
import { SECRET } from '../parts.mjs'
import { PASSWORD, collection, enter, signIn } from './basis.mjs'

const { list, add } = collection()
export default list

add('JWT', 'main', async (s) => {
  const anna = await enter(s, 'anna.jwt')
  await s.browser().call('token', 'nobody')
  await anna.call('token')
  await anna.get('keys', '/jwks')
  await s.browser().call('jwks', 'keys for nobody')
  await anna.call('token', 'once more')
})

add('several sessions in one browser', 'main', async (s) => {
  const anna = await enter(s, 'anna.multi')
  await enter(s, 'bob.multi')
  await anna.call('multiSession.listDeviceSessions', 'one')
  const first = anna.token
  await anna.call('signIn.email', 'another one comes', { email: 'bob.multi@example.org', password: PASSWORD })
  await anna.call('getSession', 'bob')
  await anna.call('multiSession.listDeviceSessions', 'two')
  await anna.call('multiSession.setActive', { sessionToken: first ?? 'none' })
  await anna.call('getSession', 'anna')
  await anna.call('multiSession.setActive', 'unknown', { sessionToken: 'unknown' })
  await anna.post('nothing', '/multi-session/set-active', {})
  const eve = await enter(s, 'eve.multi')
  await eve.call('multiSession.setActive', "somebody else's", { sessionToken: first ?? 'none' })
  await eve.call('multiSession.revoke', "somebody else's", { sessionToken: first ?? 'none' })
  const name = `better-auth.session_token_multi-${(first ?? 'none').toLowerCase()}`
  const held = eve.jar.header(s.base)
  await eve.get('a forged cookie', '/multi-session/list-device-sessions', { jar: false, cookie: `${held}; ${name}=${first}.forged` })
  await eve.post('a forged cookie', '/multi-session/set-active', { sessionToken: first }, { jar: false, cookie: `${held}; ${name}=${encodeURIComponent(sign(first ?? 'x', 'another'))}` })
  await eve.get('a rightly signed cookie', '/multi-session/list-device-sessions', { jar: false, cookie: `${held}; ${name}=${encodeURIComponent(sign(first ?? 'x', SECRET))}` })
  await anna.call('multiSession.revoke', 'the active one', { sessionToken: first ?? 'none' })
  await anna.call('getSession', 'the other one is left')
  await anna.call('signOut')
  await anna.call('multiSession.listDeviceSessions', 'none')
  await s.browser().get('nobody', '/multi-session/list-device-sessions')
})

add('API keys', 'main', async (s) => {
  const anna = await enter(s, 'anna.apikey')
  const eve = await enter(s, 'eve.apikey')
  await s.browser().call('apiKey.create', 'nobody', { name: 'x' })
  await s.browser().post('nobody names a user', '/api-key/create', { name: 'x', userId: anna.user?.id })
  const { data } = await anna.call('apiKey.create', { name: 'deploy' })
  const keyId = data?.id ?? 'none'
  await anna.call('apiKey.create', 'with prefix and end', { name: 'ci', prefix: 'ci_', expiresIn: 86_400 })
  await anna.call('apiKey.create', 'too short a life', { name: 'brief', expiresIn: 60 })
  await anna.call('apiKey.create', 'too long a life', { name: 'long', expiresIn: 86_400 * 400 })
  await anna.call('apiKey.create', 'server only: permissions', { name: 'x', permissions: { files: ['read'] } })
  await anna.call('apiKey.create', 'server only: remaining', { name: 'x', remaining: 5 })
  await anna.call('apiKey.create', 'metadata is off', { name: 'x', metadata: { a: 1 } })
  await anna.call('apiKey.create', 'a long name', { name: 'x'.repeat(33) })
  await anna.call('apiKey.create', 'an odd prefix', { name: 'x', prefix: 'a b' })
  await eve.call('apiKey.create', 'for somebody else', { name: 'x', userId: anna.user?.id })
  await anna.post('nothing', '/api-key/create', {})
  await anna.call('apiKey.list')
  await anna.call('apiKey.get', { query: { id: keyId } })
  await anna.call('apiKey.get', 'unknown', { query: { id: 'unknown' } })
  await eve.call('apiKey.get', "somebody else's", { query: { id: keyId } })
  await eve.call('apiKey.update', "somebody else's", { keyId, name: 'mine' })
  await eve.call('apiKey.delete', "somebody else's", { keyId })
  await anna.call('apiKey.update', { keyId, name: 'deploy two', enabled: false })
  await anna.call('apiKey.update', 'nothing', { keyId })
  await anna.call('apiKey.update', 'server only', { keyId, remaining: 3 })
  await anna.call('apiKey.update', 'unknown', { keyId: 'unknown', name: 'x' })
  await anna.post('verify is no route', '/api-key/verify', { key: data?.key ?? 'none' })
  await s.browser().get('the key is no session', '/get-session', { headers: { 'x-api-key': data?.key ?? 'none' } })
  await anna.call('apiKey.delete', { keyId })
  await anna.call('apiKey.delete', 'once more', { keyId })
  await eve.call('apiKey.list', 'none')
})

add('one-time tokens', 'main', async (s) => {
  const anna = await enter(s, 'anna.ott')
  await s.browser().call('oneTimeToken.generate', 'nobody')
  const { data } = await anna.call('oneTimeToken.generate')
  const other = s.browser()
  await other.call('oneTimeToken.verify', 'unknown', { token: 'unknown' })
  await other.call('oneTimeToken.verify', { token: data?.token ?? 'none' })
  await other.call('getSession')
  await other.call('oneTimeToken.verify', 'once more', { token: data?.token ?? 'none' })
  await other.post('nothing', '/one-time-token/verify', {})
  const second = await anna.call('oneTimeToken.generate', 'to lose its session')
  await anna.call('signOut')
  await s.browser().call('oneTimeToken.verify', 'the session is gone', { token: second.data?.token ?? 'none' })
  if (!s.can('expire')) return
  await signIn(anna, anna.email)
  const third = await anna.call('oneTimeToken.generate', 'to run out')
  await s.control('expire')
  await s.browser().call('oneTimeToken.verify', 'run out', { token: third.data?.token ?? 'none' })
})

add('devices', 'main', async (s) => {
  const anna = await enter(s, 'anna.device')
  const eve = await enter(s, 'eve.device')
  const tv = s.browser({ origin: null })
  const grant_type = 'urn:ietf:params:oauth:grant-type:device_code'
  const code = (about, more = {}) => tv.post(about, '/device/code', { client_id: 'tv', ...more })
  const poll = (about, device_code, more = {}) => tv.post(about, '/device/token', { grant_type, client_id: 'tv', device_code, ...more })
  await tv.post('nothing', '/device/code', {})
  const one = (await code('a code', { scope: 'openid profile' })).body ?? {}
  await poll('nobody approved', one.device_code ?? 'x')
  await poll('too soon', one.device_code ?? 'x')
  await poll('unknown', 'unknown')
  await poll('of another client', one.device_code ?? 'x', { client_id: 'radio' })
  await poll('another grant', one.device_code ?? 'x', { grant_type: 'password' })
  await tv.post('nothing', '/device/token', {})
  const user = one.user_code ?? 'ABCDEFGH'
  await s.browser().get('nobody looks', `/device?user_code=${user}`)
  await anna.get('unknown', '/device?user_code=UNKNOWN1')
  await anna.get('no code', '/device')
  await s.browser().call('device.approve', 'nobody', { userCode: user })
  await anna.get('looked up', `/device?user_code=${user}`)
  await eve.call('device.approve', 'somebody else', { userCode: user })
  await eve.get('somebody else looks', `/device?user_code=${user}`)
  await anna.call('device.approve', { userCode: user })
  await anna.call('device.approve', 'once more', { userCode: user })
  const two = (await code('a second code')).body ?? {}
  const dashed = (two.user_code ?? 'ABCDEFGH').replace(/^(.{4})/, '$1-').toLowerCase()
  await anna.get('written with a dash, lower case', `/device?user_code=${dashed}`)
  await anna.call('device.deny', { userCode: two.user_code ?? 'x' })
  await poll('denied', two.device_code ?? 'x')
  await poll('denied, once more', two.device_code ?? 'x')
  const three = (await code('a third code')).body ?? {}
  await anna.get('looked up', `/device?user_code=${three.user_code}`)
  await anna.call('device.approve', 'the third', { userCode: three.user_code ?? 'x' })
  const got = (await poll('approved', three.device_code ?? 'x')).body
  await poll('approved, once more', three.device_code ?? 'x')
  await tv.get('the token is a session', '/get-session', { jar: false, headers: { authorization: `Bearer ${got?.access_token ?? 'none'}` } })
  if (!s.can('expire')) return
  const four = (await code('to run out')).body ?? {}
  await s.control('expire')
  await poll('run out', four.device_code ?? 'x')
  await anna.get('run out', `/device?user_code=${four.user_code}`)
})

add('Open API', 'main', async (s) => {
  const anna = s.browser()
  const answer = await anna.get('schema', '/open-api/generate-schema')
  // The whole text is not the point: that it says what it is, is.
  const last = s.records.at(-1)
  last.masked.body = { openapi: String(answer.body?.openapi ?? '').slice(0, 2), paths: typeof answer.body?.paths }
  await anna.get('reference', '/reference')
})
