package agentgate.packs.provenance_test

import data.agentgate.packs.testing

value(more) := object.union(
	{
		"pointer": "/to", "kind": "email", "role": "target", "whom": false, "origin": "text",
		"in_text": true, "private": false,
	},
	more,
)

with_values(labels, values, want) := {
	"packs": ["provenance"], "labels": labels, "facts": {"values": values}, "want": want,
}

with_purpose(labels, purpose, facts, want) := {
	"packs": ["provenance"], "labels": labels, "want": want,
	"facts": object.union({"purpose": object.union(testing.purpose, purpose)}, facts),
}

passes := ["allow", "g"]

held(rule) := ["require_approval", concat("/", ["provenance", rule])]

cases := [
	# Whom or what a call acts on.
	with_values(["send"], [value({})], held("target")),
	with_values(["send"], [value({"origin": "agent"})], held("target")),
	with_values(["send"], [value({"origin": "structured"})], passes),
	with_values(["send"], [value({"origin": "purpose"})], passes),
	with_values(["send"], [value({"origin": "something else"})], held("target")),
	with_values(["send"], [object.remove(value({}), ["origin"])], held("target")),
	with_values(["send"], [value({"origin": "purpose"}), value({})], held("target")),
	with_values(["read"], [value({})], passes),
	with_values([], [value({})], held("target")),
	with_values(["ours"], [value({})], held("target")),
	with_values(["delete"], [value({"kind": "id"})], held("target")),
	with_values(["payment"], [value({"kind": "account"})], held("target")),
	with_values(["write"], [value({"kind": "url"})], held("target")),
	with_values(["write"], [value({"kind": "host"})], held("target")),
	with_values(["write"], [value({"kind": "name"})], passes),
	with_values(["send"], [value({"kind": "name", "whom": true})], held("person")),
	with_values(["send"], [value({"kind": "name", "whom": true, "origin": "structured"})], passes),
	with_values(["credential"], [value({"kind": "secret", "origin": "agent"})], held("credential")),
	with_values(["credential"], [value({"kind": "secret", "origin": "purpose"})], passes),
	with_values(["send"], [value({"role": "other"})], held("target")),
	with_values(["send"], [value({"role": "other", "kind": "account"})], held("target")),
	with_values(["send"], [value({"role": "other", "kind": "id"})], passes),
	# What it says.
	with_values(["send"], [value({"role": "content"})], passes),
	with_values(["send"], [value({"role": "content", "kind": "url"})], held("link")),
	with_values(["send"], [value({"role": "content", "kind": "host", "origin": "agent"})], held("link")),
	with_values(["send"], [value({"role": "other", "kind": "url"})], held("link")),
	with_values(["send"], [value({"role": "content", "kind": "url", "origin": "structured"})], passes),
	with_purpose(["send"], {"links": true}, {"values": [value({"role": "content", "kind": "url"})]}, passes),
	# Where it reads from.
	with_values(["fetch"], [value({"kind": "host"})], passes),
	with_values(["fetch"], [value({"kind": "host", "origin": "agent"})], held("fetch")),
	with_values(["fetch", "send"], [value({"kind": "host"})], held("target")),
	with_purpose(["fetch"], {"names_pages": true}, {"values": [value({"kind": "host"})]}, held("fetch")),
	with_purpose(["fetch"], {"names_pages": true}, {"values": [value({"kind": "host", "origin": "purpose"})]}, passes),
	# Whether the purpose asks for it.
	with_purpose(["send"], {}, {}, passes),
	with_purpose(["send"], {"asks": false}, {}, held("purpose")),
	with_purpose(["send"], {"asks": false, "given": false}, {}, held("purpose")),
	with_purpose(["send"], {"asks": false, "delegates": true, "budget": -1}, {}, passes),
	with_purpose(["read"], {"asks": false}, {}, passes),
	with_purpose(["send"], {"budget": 1, "used": 1}, {}, held("budget")),
	with_purpose(["send"], {"budget": 2, "used": 1}, {}, passes),
	with_purpose(["send"], {"budget": 0}, {}, held("budget")),
	with_purpose(["send"], {"somebody_else": true}, {}, held("somebody-else")),
	with_purpose(["send"], {"somebody_else": null}, {}, "undefined"),
	with_purpose(["send"], {"budget": -1, "used": 1}, {}, held("repeated")),
	with_purpose(["write"], {"budget": -1, "used": 9}, {}, passes),
	with_purpose(["send"], {"budget": -1}, {"copied": true}, held("copied")),
	with_purpose(
		["send"], {"budget": -1},
		{"copied": true, "values": [value({"origin": "purpose"})]},
		passes,
	),
	with_purpose(["send"], {}, {"copied": true}, passes),
	with_purpose(["send"], {}, {"overflow": true}, held("overflow")),
	with_purpose(["read"], {}, {"overflow": true}, passes),
	# Facts that are missing are no facts in favour of a call.
	with_purpose(["send"], {}, {"values": null}, "undefined"),
	with_purpose(["send"], {}, {"copied": null}, "undefined"),
	with_purpose(["send"], {"budget": null}, {}, "undefined"),
	with_purpose(["send"], {"used": "0"}, {}, "undefined"),
	# A pack that is off says nothing.
	{"packs": [], "labels": ["send"], "facts": {"values": [value({})]}, "want": passes},
	# Deny over approval.
	{"packs": ["provenance"], "labels": ["send"], "effect": "deny", "facts": {"values": [value({})]}, "want": ["deny", "g"]},
]

test_provenance if {
	testing.wrong(cases) == []
	count(cases) == 56
}

test_what_a_person_is_told if {
	reason := testing.decide(with_values(["send"], [value({})], passes)).reason
	reason == "argument /to says whom or what the call acts on, and was seen only in text that others can write"
	together := testing.decide(with_values(["send"], [value({"pointer": "", "origin": "agent"})], passes)).reason
	together == "the arguments together says whom or what the call acts on, and was seen nowhere in this session"
}
