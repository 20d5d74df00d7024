-- Chains of refresh tokens: wrk -t1 -s refresh.lua URL -- FILE [json]
-- FILE: the constant part of the form on the first line, then one refresh token a line. With `json` the body is a JSON object with the
-- token alone, and the first line does not matter. Every answer gives the next token of its chain; a token that was sent is never
-- sent again. There must be more chains than connections.

local form
local json = false
local waiting = {}

function init(arguments)
  for line in io.lines(arguments[1]) do
    if form == nil then form = line else table.insert(waiting, line) end
  end
  json = arguments[2] == "json"
  wrk.headers["Content-Type"] = json and "application/json" or "application/x-www-form-urlencoded"
end

function request()
  local token = table.remove(waiting) or "none-left"
  if json then return wrk.format("POST", nil, nil, '{"refresh_token":"' .. token .. '"}') end
  return wrk.format("POST", nil, nil, form .. "&refresh_token=" .. token)
end

function response(status, headers, body)
  local token = body:match('"refresh_token"%s*:%s*"([^"]+)"')
  if token then table.insert(waiting, 1, token) end
end
