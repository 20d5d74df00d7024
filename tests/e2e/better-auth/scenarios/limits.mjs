// Rate limits as in production: contract 3.3. One address asks.

import { PASSWORD, collection } from './basis.mjs'

const { list, add } = collection()
export default list

const ADDRESS = { headers: { 'x-forwarded-for': '203.0.113.7' } }

add('rate limits', 'limits', async (s) => {
  const anna = s.browser()
  const times = async (count, about, path, body) => {
    for (let turn = 1; turn <= count; turn += 1) await anna.post(`${about} ${turn}`, path, body, { jar: false, ...ADDRESS })
  }
  await times(4, 'sign-in', '/sign-in/email', { email: 'nobody.limits@example.org', password: PASSWORD })
  await times(4, 'sign-up', '/sign-up/email', { name: 'X', email: 'nobody', password: PASSWORD })
  await times(4, 'reset', '/request-password-reset', { email: 'nobody.limits@example.org' })
  await times(4, 'proof', '/send-verification-email', { email: 'nobody.limits@example.org' })
  await times(4, 'one-time code', '/email-otp/check-verification-otp', { email: 'nobody.limits@example.org', type: 'sign-in', otp: '123456' })
  await times(6, 'magic link', '/sign-in/magic-link', { email: 'nobody' })
  await times(4, 'two factors', '/two-factor/verify-totp', { code: '123456' })
  for (let turn = 1; turn <= 6; turn += 1) await anna.get(`device ${turn}`, '/device?user_code=UNKNOWN1', { jar: false, ...ADDRESS })
  for (let turn = 1; turn <= 3; turn += 1) await anna.get(`session ${turn}`, '/get-session', { jar: false, ...ADDRESS })
  await anna.post('another address', '/sign-in/email', { email: 'nobody.limits@example.org', password: PASSWORD }, { jar: false, headers: { 'x-forwarded-for': '203.0.113.8' } })
})
