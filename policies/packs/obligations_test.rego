package agentgate.packs.obligations_test

import data.agentgate.packs.testing

limit := {"key": "k", "limit": 3, "window_s": 60}

profile := {
	"taint": ["untrusted-read"], "rate_limits": [limit],
	"redact": {"arguments": ["/body"]}, "evidence": "redacted",
}

kept := {"redact": {"arguments": ["/body"]}, "evidence": "redacted"}

case(more, want) := object.union({"packs": ["limits"], "labels": ["read"], "facts": {"profile": profile}, "want": want}, more)

cases := [
	case({}, object.union(kept, {"taint": ["untrusted-read"], "rate_limits": [limit]})),
	case({"packs": []}, object.union(kept, {"taint": ["untrusted-read"]})),
	# What is refused leaves nothing behind and counts against nothing; its evidence is redacted all the same.
	case({"effect": "deny"}, kept),
	case({"effect": "require_approval"}, kept),
	case({"packs": ["destructive"], "labels": ["delete"]}, kept),
	case({"packs": ["dlp"], "facts": {"profile": profile, "dlp": [{"pointer": "", "kind": "card", "name": "card"}]}}, kept),
	case({"facts": {"profile": {"taint": [], "rate_limits": []}}}, kept),
	# Witnesses see what is to run.
	case({"facts": {"profile": {"taint": [], "rate_limits": [], "witnessed": true}}}, object.union(kept, {"witnessed": true})),
	case({"effect": "deny", "facts": {"profile": {"witnessed": true}}}, kept),
]

test_obligations if {
	wrong := [[case, decision.obligations] |
		some case in cases
		decision := testing.decide(case)
		decision.obligations != case.want
	]
	wrong == []
	decided := [case |
		some case in cases
		testing.decide(case)
	]
	count(decided) == 9
}

test_a_limit_that_is_not_known_leaves_the_decision_undefined if {
	not testing.decide(case({"facts": {"profile": {"taint": [], "rate_limits": null}}}, {}))
}
