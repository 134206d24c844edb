# METADATA
# scope: package
# title: What a call acts on comes from the user or from a system, not from a text
# description: |
#   For calls that act: whom or what they act on must come from the user's purpose or from a structured field of a result, and
#   the purpose must ask for such a call. Else a person decides. Where values came from, and how the purpose reads, are facts
#   that the policy service finds (services/policy/src/provenance).
package agentgate.packs.provenance

import data.agentgate.packs.tool
import data.agentgate.packs.verdict

complete if not data.policy.packs.provenance

complete if {
	is_array(input.facts.values)
	is_boolean(input.facts.copied)
	is_boolean(input.facts.overflow)
	is_boolean(input.facts.purpose.asks)
	is_boolean(input.facts.purpose.delegates)
	is_number(input.facts.purpose.budget)
	is_number(input.facts.purpose.used)
	is_boolean(input.facts.purpose.somebody_else)
}

default approvals := []

approvals := array.concat(array.concat(unread, of_values), of_purpose) if {
	data.policy.packs.provenance
	tool.acts
}

unread := [verdict.held("provenance/overflow", "the arguments hold more than could be traced: a person has to look at them") |
	input.facts.overflow
]

of_values := [verdict.held(concat("/", ["provenance", rule]), reason) |
	some value in input.facts.values
	not trusted(value)
	rule := rule_of(value)
	reason := concat("", [place_of(value), " ", says[rule], ", and ", source_of(value)])
]

trusted(value) if value.origin in {"purpose", "structured"}

place_of(value) := "the arguments together" if {
	object.get(value, "pointer", "") == ""
} else := concat("", ["argument ", value.pointer])

source_of(value) := "was seen only in text that others can write" if {
	value.origin == "text"
} else := "was seen nowhere in this session"

says := {
	"fetch": "leads to another host",
	"target": "says whom or what the call acts on",
	"credential": "sets a credential",
	"person": "names who or what the call is about",
	"link": "holds a link",
}

identifiers := {"email", "url", "host", "account", "id"}

rule_of(value) := "fetch" if {
	tool.only_fetches
	value.kind == "host"
	leads_away(value)
} else := "target" if {
	not tool.only_fetches
	value.role == "target"
	value.kind in identifiers
} else := "target" if {
	# An argument whose name says nothing may well be whom the call acts on.
	not tool.only_fetches
	not value.role in {"target", "content"}
	value.kind in {"email", "account"}
} else := "credential" if {
	not tool.only_fetches
	value.role == "target"
	value.kind == "secret"
} else := "person" if {
	not tool.only_fetches
	value.role == "target"
	value.kind == "name"
	value.whom
} else := "link" if {
	not tool.only_fetches
	value.role != "target"
	value.kind in {"url", "host"}
	not input.facts.purpose.links
}

leads_away(value) if not value.origin == "text"

# Where the purpose says which page it means, a link that stands in a text is another one.
leads_away(value) if {
	value.origin == "text"
	input.facts.purpose.names_pages
}

of_purpose := [verdict.held("provenance/purpose", unasked)] if {
	not input.facts.purpose.asks
	not input.facts.purpose.delegates
} else := [verdict.held("provenance/budget", "the purpose asks for fewer such calls than were asked for already")] if {
	input.facts.purpose.budget != -1
	input.facts.purpose.used >= input.facts.purpose.budget
} else := [verdict.held("provenance/somebody-else", "the purpose names somebody else")] if {
	input.facts.purpose.somebody_else
} else := [verdict.held("provenance/repeated", "the purpose asks for one each, and one was sent there already")] if {
	input.facts.purpose.budget == -1
	"send" in input.tool.labels
	input.facts.purpose.used > 0
} else := [verdict.held(
	"provenance/copied",
	"it says what text that others can write says, to somebody whom the purpose does not name",
)] if {
	input.facts.purpose.budget == -1
	input.facts.copied
	not names_target
} else := []

unasked := "the session's purpose does not ask for such a call" if input.facts.purpose.given

unasked := "the session names no purpose that could ask for such a call" if not input.facts.purpose.given

names_target if {
	some value in input.facts.values
	value.role == "target"
	value.origin == "purpose"
}
