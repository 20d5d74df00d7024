// Passkeys: contract 5.5.

import { SecurityKey } from '../devices.mjs'
import { APP } from '../parts.mjs'
import { collection, enter } from './basis.mjs'

const { list, add } = collection()
export default list

const NOTHING = { challenge: 'x', rp: { id: 'x' }, rpId: 'x', user: { id: 'x' } }

/** Options for signing in: a GET today. */
const ask = (browser, about) => browser.get(about, '/passkey/generate-authenticate-options')

add('a passkey', 'main', async (s) => {
  const anna = await enter(s, 'anna.passkey')
  const key = new SecurityKey({ origin: APP })
  await s.browser().get('nobody', '/passkey/generate-register-options')
  await anna.post('without options', '/passkey/verify-registration', { response: key.register(NOTHING) })
  const made = await anna.get('options', '/passkey/generate-register-options?name=laptop')
  const options = made.body ?? NOTHING
  await anna.post('another challenge', '/passkey/verify-registration', { response: new SecurityKey({ origin: APP }).register({ ...options, challenge: 'AAAA' }), name: 'x' })
  const again = await anna.get('options again', '/passkey/generate-register-options')
  await anna.post('another origin', '/passkey/verify-registration', { response: new SecurityKey({ origin: 'http://evil.example.test' }).register(again.body ?? NOTHING), name: 'x' })
  const third = await anna.get('options once more', '/passkey/generate-register-options?authenticatorAttachment=platform')
  const answer = key.register(third.body ?? NOTHING)
  await anna.post('right', '/passkey/verify-registration', { response: answer, name: 'laptop' })
  await anna.post('the same once more', '/passkey/verify-registration', { response: answer, name: 'laptop' })
  const { data } = await anna.call('passkey.listUserPasskeys')
  await anna.get('options exclude the known one', '/passkey/generate-register-options')

  const other = s.browser()
  await other.post('sign-in without options', '/passkey/verify-authentication', { response: key.authenticate(NOTHING) })
  let login = await ask(other, 'options')
  await other.post('a broken signature', '/passkey/verify-authentication', { response: key.authenticate(login.body ?? NOTHING, { broken: true }) })
  login = await ask(other, 'options')
  await other.post('an unknown key', '/passkey/verify-authentication', { response: new SecurityKey({ origin: APP }).authenticate(login.body ?? NOTHING) })
  login = await ask(other, 'options')
  const right = key.authenticate(login.body ?? NOTHING)
  await other.post('right', '/passkey/verify-authentication', { response: right })
  await other.post('the same once more', '/passkey/verify-authentication', { response: right })
  await other.call('getSession')
  await ask(other, 'options of somebody signed in')
  const crossed = await ask(anna, 'a challenge for signing in')
  await anna.post('used to register', '/passkey/verify-registration', { response: new SecurityKey({ origin: APP }).register({ ...NOTHING, rp: { id: crossed.body?.rpId ?? 'x' }, challenge: crossed.body?.challenge ?? 'x' }) })
  await anna.post('nothing', '/passkey/verify-registration', {})
  await other.post('nothing', '/passkey/verify-authentication', {})

  const id = data?.[0]?.id ?? 'none'
  const eve = await enter(s, 'eve.passkey')
  await eve.call('passkey.updatePasskey', "somebody else's", { id, name: 'mine' })
  await eve.call('passkey.deletePasskey', "somebody else's", { id })
  await anna.call('passkey.updatePasskey', { id, name: 'old laptop' })
  await anna.call('passkey.updatePasskey', 'unknown', { id: 'unknown', name: 'x' })
  await anna.call('passkey.listUserPasskeys')
  await anna.call('passkey.deletePasskey', { id })
  await anna.call('passkey.deletePasskey', 'once more', { id })
  await anna.call('passkey.listUserPasskeys')
  await s.browser().get('nobody', '/passkey/list-user-passkeys')
  login = await ask(s.browser(), 'options')
})
