package agentgate_test

import data.agentgate

# Cases are tables. A table that lost its cases would pass, so each test also asserts how many cases it went through.

holds := {"state": "holds"}

fails := {"state": "fails", "pointer": "/path", "condition": "under", "why": "it is outside"}

unclear := {"state": "unclear", "pointer": "/path", "condition": "under", "why": "it holds a \"..\" segment"}

grant(id, effect) := {"id": id, "effect": effect, "conditional": false}

conditional(id, effect) := {"id": id, "effect": effect, "conditional": true}

index(list, whom) := {"list": list, "whom": whom}

everything := {"exact": {}, "server": {}, "any": []}

exactly(tool, numbers) := object.union(everything, {"exact": {tool: numbers}})

call(tool, server, name) := {
	"call": {"tool": tool, "server": server, "name": name, "arguments": {}, "digest": ""},
	"tool": {"labels": [], "annotations": {}, "schema_digest": "", "pinned": false},
	"agent": {"name": "demo", "tenant": "default", "labels": ["dev", "eu"]},
	"session": {"id": "ses_1", "age_s": 1, "purpose": "", "taint": [], "calls": 0, "denied": 0},
	"provenance": {},
	"approval": null,
	"now": 0,
	"facts": {"grants": {}, "profile": {}},
}

write := call("fs/write", "fs", "write")

decide(list, facts) := decision if {
	stood := exactly("fs/write", [number | some number, _ in list])
	decision := agentgate.decision with input as object.union(write, {"facts": {"grants": facts}})
		with data.grants as index(list, {"agent:default/demo": stood})
		with data.credentials as {}
}

precedence := [
	{"grants": [], "facts": {}, "want": ["deny", "NO_GRANT", null]},
	{"grants": [grant("a", "allow")], "facts": {}, "want": ["allow", "OK", "a"]},
	{"grants": [grant("a", "allow"), grant("b", "allow")], "facts": {}, "want": ["allow", "OK", "a"]},
	{"grants": [grant("a", "require_approval")], "facts": {}, "want": ["require_approval", "APPROVAL_REQUIRED", "a"]},
	{"grants": [grant("a", "deny")], "facts": {}, "want": ["deny", "POLICY_DENIED", "a"]},
	{
		"grants": [grant("a", "allow"), grant("p", "require_approval")], "facts": {},
		"want": ["require_approval", "APPROVAL_REQUIRED", "p"],
	},
	{
		"grants": [grant("a", "allow"), grant("p", "require_approval"), grant("d", "deny")], "facts": {},
		"want": ["deny", "POLICY_DENIED", "d"],
	},
	{"grants": [conditional("a", "allow")], "facts": {"a": holds}, "want": ["allow", "OK", "a"]},
	{"grants": [conditional("a", "allow")], "facts": {"a": fails}, "want": ["deny", "ARGUMENT_NOT_ALLOWED", "a"]},
	{"grants": [conditional("a", "allow")], "facts": {"a": unclear}, "want": ["deny", "ARGUMENT_NOT_ALLOWED", "a"]},
	{
		"grants": [conditional("a", "allow"), conditional("b", "allow")], "facts": {"a": fails, "b": holds},
		"want": ["allow", "OK", "b"],
	},
	{
		"grants": [conditional("a", "allow"), conditional("b", "allow")], "facts": {"a": unclear, "b": fails},
		"want": ["deny", "ARGUMENT_NOT_ALLOWED", "a"],
	},
	{"grants": [conditional("d", "deny")], "facts": {"d": fails}, "want": ["deny", "NO_GRANT", null]},
	{"grants": [conditional("d", "deny"), grant("a", "allow")], "facts": {"d": fails}, "want": ["allow", "OK", "a"]},
	{"grants": [conditional("d", "deny"), grant("a", "allow")], "facts": {"d": holds}, "want": ["deny", "POLICY_DENIED", "d"]},
	{
		"grants": [conditional("d", "deny"), grant("a", "allow")], "facts": {"d": unclear},
		"want": ["deny", "ARGUMENT_NOT_ALLOWED", "d"],
	},
	{
		"grants": [conditional("p", "require_approval"), grant("a", "allow")], "facts": {"p": fails},
		"want": ["allow", "OK", "a"],
	},
	{
		"grants": [conditional("p", "require_approval"), grant("a", "allow")], "facts": {"p": unclear},
		"want": ["deny", "ARGUMENT_NOT_ALLOWED", "p"],
	},
	{
		"grants": [conditional("p", "require_approval")], "facts": {"p": fails},
		"want": ["deny", "ARGUMENT_NOT_ALLOWED", "p"],
	},
	{
		"grants": [conditional("d", "deny"), grant("e", "deny")], "facts": {"d": unclear},
		"want": ["deny", "POLICY_DENIED", "e"],
	},
]

answers(case) if {
	decision := decide(case.grants, case.facts)
	[decision.action, decision.code, object.get(decision, "rule", null)] == case.want
}

test_precedence if {
	wrong := [case |
		some case in precedence
		not answers(case)
	]
	wrong == []
	count(precedence) == 20
}

test_the_form_of_a_decision if {
	decide([grant("a", "allow")], {}) == {
		"action": "allow", "code": "OK", "reason": "allowed by grant a", "rule": "a", "obligations": {},
	}
	decide([], {}) == {
		"action": "deny", "code": "NO_GRANT", "reason": "no grant lets agent demo call fs/write", "obligations": {},
	}
	decide([conditional("a", "allow")], {"a": fails}).reason == "argument /path does not satisfy \"under\" of grant a: it is outside"
	decide([conditional("d", "deny")], {"d": unclear}).reason == concat("", [
		"argument /path cannot be judged safely by \"under\" of grant d: ",
		"it holds a \"..\" segment",
	])
}

# Undefined is no answer, and the service turns no answer into POLICY_INVALID.
undecided := [
	{"grants": [conditional("a", "allow")], "facts": {}},
	{"grants": [grant("a", "allow"), conditional("d", "deny")], "facts": {}},
	{"grants": [grant("a", "allow"), conditional("d", "deny")], "facts": {"d": {"state": "maybe"}}},
	{"grants": [grant("a", "allow"), conditional("d", "deny")], "facts": {"d": null}},
	{"grants": [grant("a", "allow"), conditional("d", "deny")], "facts": {"d": {"state": null}}},
	{"grants": [grant("a", "allow"), conditional("d", "deny")], "facts": {"a": holds}},
]

test_a_missing_fact_leaves_the_decision_undefined if {
	decided := [case |
		some case in undecided
		decide(case.grants, case.facts)
	]
	decided == []
	count(undecided) == 6
}

whom_cases := [
	{"key": "agent:default/demo", "found": true},
	{"key": "label:default/dev", "found": true},
	{"key": "label:*/eu", "found": true},
	{"key": "tenant:default", "found": true},
	{"key": "agent:acme/demo", "found": false},
	{"key": "agent:default/other", "found": false},
	{"key": "label:acme/dev", "found": false},
	{"key": "label:*/prod", "found": false},
	{"key": "tenant:acme", "found": false},
	{"key": "agent:default/", "found": false},
]

found(key) if {
	decision := agentgate.decision with input as write
		with data.grants as index([grant("a", "allow")], {key: exactly("fs/write", [0])})
		with data.credentials as {}
	decision.code == "OK"
}

test_whom_a_grant_is_about if {
	hits := {case.key |
		some case in whom_cases
		found(case.key)
	}
	hits == {case.key | some case in whom_cases; case.found}
	count(whom_cases) == 10
}

pattern_cases := [
	{"place": {"exact": {"fs/write": [0]}}, "tool": ["fs", "write"], "found": true},
	{"place": {"exact": {"fs/write": [0]}}, "tool": ["fs", "write2"], "found": false},
	{"place": {"server": {"fs": [{"grant": 0}]}}, "tool": ["fs", "anything/at/all"], "found": true},
	{"place": {"server": {"fs": [{"grant": 0}]}}, "tool": ["fs2", "write"], "found": false},
	{"place": {"server": {"fs": [{"grant": 0, "name": ["read_", ""]}]}}, "tool": ["fs", "read_file"], "found": true},
	{"place": {"server": {"fs": [{"grant": 0, "name": ["read_", ""]}]}}, "tool": ["fs", "unread_file"], "found": false},
	{"place": {"server": {"fs": [{"grant": 0, "name": ["", "_read"]}]}}, "tool": ["fs", "file_read"], "found": true},
	{"place": {"server": {"fs": [{"grant": 0, "name": ["a", "a"]}]}}, "tool": ["fs", "a"], "found": false},
	{"place": {"server": {"fs": [{"grant": 0, "name": ["a", "a"]}]}}, "tool": ["fs", "aa"], "found": true},
	{"place": {"any": [{"grant": 0}]}, "tool": ["x", "y"], "found": true},
	{"place": {"any": [{"grant": 0, "name": ["read"]}]}, "tool": ["x", "read"], "found": true},
	{"place": {"any": [{"grant": 0, "name": ["read"]}]}, "tool": ["x", "reader"], "found": false},
	{"place": {"any": [{"grant": 0, "server": ["crm-", ""], "name": ["read"]}]}, "tool": ["crm-eu", "read"], "found": true},
	{"place": {"any": [{"grant": 0, "server": ["crm-", ""], "name": ["read"]}]}, "tool": ["erp", "read"], "found": false},
]

fits_pattern(case) if {
	[server, name] := case.tool
	decision := agentgate.decision with input as call(concat("/", case.tool), server, name)
		with data.grants as index([grant("a", "allow")], {"tenant:default": object.union(everything, case.place)})
		with data.credentials as {}
	decision.code == "OK"
}

test_which_tools_a_pattern_fits if {
	hits := [number |
		some number, case in pattern_cases
		fits_pattern(case)
	]
	hits == [number | some number, case in pattern_cases; case.found]
	count(pattern_cases) == 14
}

test_the_most_specific_grant_is_named_first if {
	list := [grant("any", "allow"), grant("server", "allow"), grant("label", "allow"), grant("agent", "allow")]
	whom := {
		"tenant:default": object.union(everything, {"any": [{"grant": 0}]}),
		"label:*/dev": {"exact": {"fs/write": [2]}, "server": {"fs": [{"grant": 1}]}, "any": []},
		"agent:default/demo": exactly("fs/write", [3]),
	}
	explained := agentgate.explain with input as write with data.grants as index(list, whom) with data.credentials as {}
	[each.id | some each in explained.grants] == ["agent", "label", "server", "any"]
	explained.decision.rule == "agent"
	explained.grants[0] == {"id": "agent", "effect": "allow", "state": "holds"}
}

test_agents_and_labels_must_both_fit if {
	hits := {labels |
		some labels in {["dev"], ["prod", "eu"], ["prod"]}
		labelled := object.union(grant("a", "allow"), {"labels": labels})
		decide([labelled], {}).code == "OK"
	}
	hits == {["dev"], ["prod", "eu"]}
}

test_a_credential_goes_with_allow_only if {
	credentials := {"fs": {"name": "fs-key", "ttl_s": 60}, "crm": {"name": "crm-key"}}
	given := {effect: obligations |
		some effect in {"allow", "deny", "require_approval"}
		obligations := decide_with(grant("a", effect), credentials).obligations
	}
	given == {"allow": {"credential": {"name": "fs-key", "ttl_s": 60}}, "deny": {}, "require_approval": {}}
	decide_with(grant("a", "allow"), {"crm": {"name": "crm-key"}}).obligations == {}
}

test_approvers_go_with_the_question if {
	approvers := {"min": 2, "roles": ["finance"]}
	asked := decide([object.union(grant("a", "require_approval"), {"approvers": approvers})], {})
	asked.obligations == {"approvers": approvers}
}

decide_with(one, credentials) := decision if {
	decision := agentgate.decision with input as write
		with data.grants as index([one], {"tenant:default": exactly("fs/write", [0])})
		with data.credentials as credentials
}

# An operator's exception, and what it stands behind.
excepted_cases := [
	{"grants": [], "facts": {}, "want": ["allow", "OK", "exception/exc_1"]},
	{"grants": [conditional("a", "allow")], "facts": {"a": fails}, "want": ["allow", "OK", "exception/exc_1"]},
	{"grants": [conditional("a", "allow")], "facts": {"a": unclear}, "want": ["allow", "OK", "exception/exc_1"]},
	{"grants": [conditional("d", "deny")], "facts": {"d": fails}, "want": ["allow", "OK", "exception/exc_1"]},
	{"grants": [grant("a", "allow")], "facts": {}, "want": ["allow", "OK", "a"]},
	{"grants": [grant("d", "deny")], "facts": {}, "want": ["deny", "POLICY_DENIED", "d"]},
	{"grants": [conditional("d", "deny")], "facts": {"d": holds}, "want": ["deny", "POLICY_DENIED", "d"]},
	{"grants": [conditional("d", "deny")], "facts": {"d": unclear}, "want": ["deny", "ARGUMENT_NOT_ALLOWED", "d"]},
	{
		"grants": [conditional("p", "require_approval")], "facts": {"p": unclear},
		"want": ["deny", "ARGUMENT_NOT_ALLOWED", "p"],
	},
	{"grants": [grant("p", "require_approval")], "facts": {}, "want": ["require_approval", "APPROVAL_REQUIRED", "p"]},
]

excepted(case) if {
	stood := exactly("fs/write", [number | some number, _ in case.grants])
	exception := {"id": "exc_1", "owner": "ann", "until": "2026-11-25T12:00:00.000Z"}
	decision := agentgate.decision with input as object.union(write, {"facts": {"grants": case.facts, "exception": exception}})
		with data.grants as index(case.grants, {"agent:default/demo": stood})
		with data.credentials as {}
	[decision.action, decision.code, decision.rule] == case.want
}

test_an_exception_stands_in_for_a_grant_and_overrides_nothing if {
	wrong := [case |
		some case in excepted_cases
		not excepted(case)
	]
	wrong == []
	count(excepted_cases) == 10
}

test_an_exception_says_whose_it_is_and_how_long_it_lasts if {
	exception := {"id": "exc_1", "owner": "ann", "until": "2026-11-25T12:00:00.000Z"}
	decision := agentgate.decision with input as object.union(write, {"facts": {"grants": {}, "exception": exception}})
		with data.grants as index([], {})
		with data.credentials as {}
	decision.reason == "allowed until 2026-11-25T12:00:00.000Z by exception exc_1, for which ann answers"
}

test_an_exception_is_missing_a_fact_like_any_other if {
	exception := {"id": "exc_1", "owner": "ann", "until": ""}
	not agentgate.decision with input as object.union(write, {"facts": {"grants": {}, "exception": exception}})
		with data.grants as index([conditional("d", "deny")], {"agent:default/demo": exactly("fs/write", [0])})
		with data.credentials as {}
}
