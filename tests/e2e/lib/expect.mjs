// Expectations that show the whole answer when they fail.

import assert from 'node:assert/strict'

export { assert }

export function expectStatus(answer, ...statuses) {
  if (!statuses.includes(answer.status)) {
    assert.fail(`expected status ${statuses.join(' or ')}\n${answer}`)
  }
  return answer
}

/** An OAuth error answer in JSON (RFC 6749 section 5.2): never cached, with the code. */
export function expectOAuthError(answer, status, ...codes) {
  expectStatus(answer, status)
  const body = answer.json()
  if (!codes.includes(body.error)) assert.fail(`expected error ${codes.join(' or ')}\n${answer}`)
  if (!/no-store/.test(answer.headers['cache-control'] ?? '')) assert.fail(`expected cache-control: no-store\n${answer}`)
  return body
}

/** A token answer (RFC 6749 section 5.1). */
export function expectTokens(answer) {
  expectStatus(answer, 200)
  const body = answer.json()
  if (typeof body.access_token !== 'string') assert.fail(`expected an access_token\n${answer}`)
  if (!/^bearer$/i.test(body.token_type ?? '')) assert.fail(`expected token_type Bearer\n${answer}`)
  if (!/no-store/.test(answer.headers['cache-control'] ?? '')) assert.fail(`expected cache-control: no-store\n${answer}`)
  return body
}

/** The walk ended at the client with this error in the query (RFC 6749 section 4.1.2.1). */
export function expectReturned(step, redirectUri, ...codes) {
  if (!step.left) assert.fail(`expected to be sent back to the client with ${codes.join(' or ')}\n${step.page}`)
  assert.equal(step.left.origin + step.left.pathname, redirectUri, `sent to the wrong place: ${step.left}`)
  const error = step.left.searchParams.get('error')
  if (!codes.includes(error)) assert.fail(`expected error ${codes.join(' or ')}, got: ${step.left}\n${step.page}`)
  return step.left.searchParams
}

const CODE = /\bDW-[0-9A-Z]+(?:-[0-9A-Z]+)*\b/

/** The walk ended on one of our pages with a refusal code on it, without leaving. Returns the code. */
export function expectRefusalPage(step, ...statuses) {
  if (step.left) assert.fail(`expected a page of ours, was sent to ${step.left}`)
  expectStatus(step.page, ...statuses)
  const found = step.page.text.match(CODE)
  if (!found) assert.fail(`expected a code like DW-7K2M-41 on the page\n${step.page}`)
  return found[0]
}

export function expectSubset(actual, expected, about = 'object') {
  for (const [key, value] of Object.entries(expected)) {
    assert.deepEqual(actual?.[key], value, `${about}.${key}: expected ${JSON.stringify(value)}, got: ${JSON.stringify(actual)}`)
  }
}
