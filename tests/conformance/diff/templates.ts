/**
 * All templates.
 *
 * @module
 */

import type { Template } from "./template.ts";
import { ADMIN_TEMPLATES } from "./templates_admin.ts";
import { DATA_TEMPLATES } from "./templates_data.ts";
import { CONSUMER_GROUP_TEMPLATES } from "./templates_consumer_groups.ts";
import { GROUP_TEMPLATES } from "./templates_groups.ts";
import { TOPIC_TEMPLATES } from "./templates_topics.ts";
import { TRANSACTION_TEMPLATES } from "./templates_transactions.ts";

export const TEMPLATES: readonly Template[] = [
  ...DATA_TEMPLATES,
  ...TOPIC_TEMPLATES,
  ...ADMIN_TEMPLATES,
  ...GROUP_TEMPLATES,
  ...CONSUMER_GROUP_TEMPLATES,
  ...TRANSACTION_TEMPLATES,
];
