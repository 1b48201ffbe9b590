/**
 * The clients of a simulation, as its plan wants them.
 *
 * @module
 */

import type { Random } from "../../src/base/prng.ts";
import type { Actor, Stage } from "./actor.ts";
import { ConsumeActor } from "./consume_actor.ts";
import { ForgeActor } from "./forge_actor.ts";
import { GroupActor } from "./group_actor.ts";
import { NuisanceActor } from "./nuisance_actor.ts";
import { ProduceActor } from "./produce_actor.ts";
import { SpoilActor } from "./spoil_actor.ts";
import type { SwarmPlan } from "./swarm.ts";

/** Where the clients' seeds come from. */
export interface CastSeeds {
  readonly next: () => number;
  /** Of nuisances, and of forgers, so that the seeds of the others do not depend on how many there are. */
  readonly mischief: Random;
  readonly forgery: Random;
}

/** Everybody but the administrator. */
export function castOf(stage: Stage, plan: SwarmPlan, seeds: CastSeeds): Actor[] {
  const { next, mischief, forgery } = seeds;
  const { batchBytesMax, pipelining, oddBatches: odd } = plan;
  const actors: Actor[] = [];
  for (let i = 0; i < plan.idempotentProducers; i++) {
    const shape = { idempotent: true, batchBytesMax, pipelining, odd };
    actors.push(new ProduceActor(stage, next(), shape));
  }
  for (let i = 0; i < plan.plainProducers; i++) {
    const shape = { idempotent: false, batchBytesMax, pipelining, odd };
    actors.push(new ProduceActor(stage, next(), shape));
  }
  for (let i = 0; i < plan.spoilers; i++) actors.push(new SpoilActor(stage, next()));
  for (let i = 0; i < plan.consumers; i++) actors.push(new ConsumeActor(stage, next()));
  for (let i = 0; i < plan.groupMembers; i++) {
    actors.push(new GroupActor(stage, next(), `group-${i % 2}`, stage.topics[0]!, i));
  }
  for (let i = 0; i < plan.nuisances; i++) {
    actors.push(new NuisanceActor(stage, mischief.nextUint32()));
  }
  for (let i = 0; i < plan.forgers; i++) actors.push(new ForgeActor(stage, forgery.nextUint32()));
  return actors;
}
