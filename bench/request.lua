-- wrk sends one request again and again; PATH_, BODY and HEADERS ("name: value" lines) come from the environment.
-- The last line of the output is one JSON object.
local file = assert(io.open(os.getenv("BODY")))
wrk.body = file:read("*a")
file:close()
wrk.method = "POST"
wrk.path = os.getenv("PATH_")
wrk.headers["Content-Type"] = "application/json"
for name, value in string.gmatch(os.getenv("HEADERS"), "([^:\n]+): ([^\n]+)") do
  wrk.headers[name] = value
end

function done(summary, latency, _)
  local errors = summary.errors
  print(string.format(
    '{"seconds":%.3f,"requests":%d,"errors":%d,"p50_us":%d,"p99_us":%d}',
    summary.duration / 1e6, summary.requests,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
