package main

import (
	"context"

	"github.com/ssegateway/sse-gateway/bench/internal/report"
)

var (
	withFloor = []string{string(onFloor), string(direct), string(portable)}
	pods      = []string{string(direct), string(portable)}
)

// Names of figures that ratios and targets refer to.
const (
	perDelivery  = "CPU per delivery"
	perEvent     = "CPU per event"
	perSecond    = "deliveries per CPU-second"
	perConnected = "RSS per connection"
	aboveFloor   = "CPU per delivery ÷ the floor's"
)

// definitions describes all scenarios.
func definitions() (all []report.Scenario) {
	for _, s := range scenarios() {
		all = append(all, s.Scenario)
	}
	return all
}

// scenarios are all there are, in the order in which they run.
func scenarios() []scenario {
	floorRatio := []report.Ratio{{Name: aboveFloor, Of: perDelivery, Base: string(onFloor)}}
	d, p := string(direct), string(portable)
	return []scenario{
		{report.Scenario{
			Name: "one-to-many", What: "one topic to 4,000 connections, 20 single events a second", Variants: withFloor, Ratios: floorRatio,
			Targets: []report.Target{{Figure: aboveFloor, Variant: d, Limit: 1.10}},
		}, delivering{connections: 4000, rate: 20, perBatch: 1, seconds: 10, nap: true}.run},
		{report.Scenario{
			Name: "pending-10", What: "one topic to 4,000 connections, 10 events there at once, 10 times a second", Variants: withFloor, Ratios: floorRatio,
			Targets: []report.Target{{Figure: perSecond, Variant: d, Limit: 1.5e6, AtLeast: true}},
		}, delivering{connections: 4000, rate: 10, perBatch: 10, seconds: 6, nap: true}.run},
		{report.Scenario{
			Name: "pending-50", What: "one topic to 4,000 connections, 50 events there at once, 3 times a second", Variants: withFloor, Ratios: floorRatio,
			Targets: []report.Target{{Figure: perSecond, Variant: d, Limit: 1.5e6, AtLeast: true}},
		}, delivering{connections: 4000, rate: 3, perBatch: 50, seconds: 6, nap: true}.run},
		{report.Scenario{
			Name: "bursts", What: "one topic to 1,000 connections, 100 events at once every second", Variants: withFloor, Ratios: floorRatio,
		}, delivering{connections: 1000, rate: 1, perBatch: 100, seconds: 10}.run},
		{report.Scenario{
			Name: "fan-out", What: "one topic to 1,000 connections, 1,000 events a second", Variants: pods,
		}, delivering{connections: 1000, rate: 1000, perBatch: 1, seconds: 10}.run},
		{report.Scenario{
			Name: "many-to-one", What: "4,000 topics of one connection each, 1,500 events a second by XADD", Variants: withFloor,
			Ratios:  []report.Ratio{{Name: "CPU per event ÷ the floor's", Of: perEvent, Base: string(onFloor)}},
			Targets: []report.Target{{Figure: perEvent, Variant: d, Limit: 40}},
		}, manyToOne},
		{report.Scenario{
			Name: "connects", What: "4,000 connections to one topic, 1,000 a second, closed, and again at full speed", Variants: pods,
			Targets: []report.Target{{Figure: "CPU per connection", Variant: d, Limit: 50}, {Figure: "CPU per connection, full speed", Variant: d, Limit: 50}},
		}, connects},
		{report.Scenario{
			Name: "resume-warm", What: "1,000 clients come back at random points of the last 100 events to a pod that has them in memory", Variants: pods,
		}, func(ctx context.Context, l *lab) (*report.Round, error) { return resume(ctx, l, true) }},
		{report.Scenario{
			Name: "resume-cold", What: "the same to a pod that has never followed the topic", Variants: pods,
		}, func(ctx context.Context, l *lab) (*report.Round, error) { return resume(ctx, l, false) }},
		{report.Scenario{
			Name: "resume-storm", What: "10,000 clients resume 100 events each on one topic, which the pod must read", Variants: pods,
			Targets: []report.Target{
				{Figure: "Redis reads", Variant: d, Limit: 20},
				{Figure: "replayed events per CPU-second", Variant: d, Limit: 1e6, AtLeast: true},
			},
		}, resumeStorm},
		{report.Scenario{
			Name: "reconnect-storm", What: "4,000 clients are cut at once and come back, while 50 events a second are published", Variants: pods,
		}, reconnectStorm},
		{report.Scenario{
			Name: "slow-clients", What: "1,000 readers, 50 events a second, without and with 3,000 others that stop reading", Variants: pods,
			Targets: []report.Target{{Figure: "p99 with ÷ without", Variant: d, Limit: 1.2}},
		}, slowClients},
		{report.Scenario{
			Name: "finite", What: "200 topics a second are born, fed 10 events and gone, with a client each", Variants: pods, MostRounds: 3,
		}, finite},
		{report.Scenario{
			Name: "latency-ratio-1", What: "XADD to client against a bare PUBLISH to a bare subscriber, in turn, 500 of each a second, 1 topic", Variants: pods,
		}, func(ctx context.Context, l *lab) (*report.Round, error) { return latencyRatio(ctx, l, 1) }},
		{report.Scenario{
			Name: "latency-ratio-5000", What: "the same with 5,000 topics of one connection each", Variants: pods,
		}, func(ctx context.Context, l *lab) (*report.Round, error) { return latencyRatio(ctx, l, 5000) }},
		{report.Scenario{
			Name: "latency-by-load", What: "one topic to 1,000 connections, rates rise until the machine is saturated", Variants: pods,
			Targets: []report.Target{{Figure: "p99 at half of saturation", Variant: d, Limit: 5}},
		}, saturating{connections: 1000, topics: 1, first: 20}.run},
		{report.Scenario{
			Name: "latency-by-load-100", What: "the same with 100 topics of 10 connections each", Variants: pods,
			Targets: []report.Target{{Figure: "p99 at half of saturation", Variant: d, Limit: 5}},
		}, saturating{connections: 1000, topics: 100, first: 500}.run},
		{report.Scenario{
			Name: "idle-100-topics", What: "10,000 idle connections on 100 topics", Variants: pods,
			Targets: []report.Target{{Figure: perConnected, Variant: d, Limit: 1.5}, {Figure: perConnected, Variant: p, Limit: 12}, {Figure: "GC, share of one CPU", Variant: d, Limit: 2}},
		}, idle{topics: 100, each: 1}.run},
		{report.Scenario{
			Name: "idle-own-topic", What: "10,000 idle connections on a topic each", Variants: pods, MostRounds: 3,
			Targets: []report.Target{{Figure: perConnected, Variant: d, Limit: 4}},
		}, idle{topics: 10_000, each: 1}.run},
		{report.Scenario{
			Name: "idle-8-topics", What: "10,000 idle connections on 8 topics each, of 1,000", Variants: pods, MostRounds: 3,
			Targets: []report.Target{{Figure: perConnected, Variant: d, Limit: 4}},
		}, idle{topics: 1000, each: 8}.run},
	}
}
