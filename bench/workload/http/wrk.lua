-- SPDX-License-Identifier: MIT
-- What wrk has measured, as one line of JSON. It has no part in the run itself: functions that are
-- called for each request or answer would cost the load more than the request.

function done(summary, latency, _)
    local errors = summary.errors
    io.write(string.format(
        '{"requests": %d, "bytes": %d, "seconds": %.6f, "errors": %d, ' ..
            '"p50": %.1f, "p99": %.1f, "p999": %.1f}\n',
        summary.requests, summary.bytes, summary.duration / 1e6,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
