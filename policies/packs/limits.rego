# METADATA
# scope: package
# title: How often
# description: The limits that the configuration names for the tool and for all; the policy service counts and refuses.
package agentgate.packs.limits

complete if not data.policy.packs.limits

complete if is_array(input.facts.profile.rate_limits)

obligations := {"rate_limits": limits |
	data.policy.packs.limits
	limits := input.facts.profile.rate_limits
	count(limits) > 0
}
