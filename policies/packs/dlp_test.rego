package agentgate.packs.dlp_test

import data.agentgate.packs.testing

finding(kind) := {"pointer": "/body", "kind": kind, "name": "crm"}

case(findings, want) := {"packs": ["dlp"], "labels": ["send"], "facts": {"dlp": findings}, "want": want}

cases := [
	case([], ["allow", "g"]),
	case([finding("secret")], ["deny", "dlp/secret"]),
	case([finding("private_key")], ["deny", "dlp/private_key"]),
	case([finding("card")], ["deny", "dlp/card"]),
	case([finding("something")], ["deny", "dlp/something"]),
	case([{}], ["deny", "dlp/unknown"]),
	case(null, "undefined"),
	object.union(case([finding("card")], ["allow", "g"]), {"packs": []}),
	object.union(case([finding("card")], ["deny", "dlp/card"]), {"labels": ["read"]}),
	# Deny over approval over allow.
	object.union(case([finding("card")], ["deny", "dlp/card"]), {"effect": "require_approval"}),
	object.union(case([finding("card")], ["deny", "dlp/card"]), {"packs": ["dlp", "destructive"], "labels": ["delete"]}),
]

test_dlp if {
	testing.wrong(cases) == []
	count(cases) == 11
}

test_what_an_agent_is_told if {
	reason := testing.decide(case([finding("secret")], [])).reason
	reason == "argument /body holds a configured secret (crm), which must not leave"
}
