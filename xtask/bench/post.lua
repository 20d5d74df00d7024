-- The same form in every request: wrk -s post.lua URL -- FILE [AUTHORIZATION]
-- FILE holds the form; it is not an argument because it holds a secret.

function init(arguments)
  local file = assert(io.open(arguments[1], "r"))
  wrk.method = "POST"
  wrk.body = file:read("*a")
  file:close()
  wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
  wrk.headers["Authorization"] = arguments[2]
end
