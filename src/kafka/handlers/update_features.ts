/**
 * UpdateFeatures (key 57), versions 0 to 2: raises the level of a feature for the whole cluster (KIP-584).
 *
 * - All updates of a request, or none: the error is that of the first that is refused, with Kafka's texts.
 * - `gregor.version` is the logical version of the cluster. It rises by itself (`gregor.version.auto.upgrade`), or by this
 *   request, to what every registered node is able to do, and never goes back: INVALID_UPDATE_VERSION.
 * - Kafka's features have one level each, which can be asked for and not changed.
 * - v1: `validateOnly`, and how a level may change; v0 allows a downgrade or not.
 *
 * Gaps: the request's timeout is ignored.
 *
 * @module
 */

import { type FeatureUpdate, updateFeatures, UpgradeType } from "../../cluster/features.ts";
import { ErrorCode } from "../../wire/errors.ts";
import { UPDATE_FEATURES } from "../../wire/generated/apis.ts";
import type { UpdateFeaturesRequest } from "../../wire/generated/update_features_request.ts";
import {
  newUpdateFeaturesResponse,
  type UpdateFeaturesResponse,
} from "../../wire/generated/update_features_response.ts";
import { controllerRefusal, onController } from "../controller_answer.ts";
import { type Handler, ON_CONTROLLER } from "../handler.ts";

/** Of one update, which stands for all. */
const FOR_ALL = "The update failed for all features since the following feature had an error: ";

export const UPDATE_FEATURES_HANDLER: Handler<UpdateFeaturesRequest, UpdateFeaturesResponse> = {
  api: UPDATE_FEATURES,
  minVersion: 0,
  maxVersion: 2,
  route: ON_CONTROLLER,
  *handle({ services, version }, { featureUpdates, validateOnly }) {
    // Of a feature that is named twice the last level counts, as in Kafka.
    const byName = new Map(featureUpdates.map((update) => [update.feature, update]));
    const updates = [...byName.values()].map((update): FeatureUpdate => ({
      feature: update.feature,
      level: update.maxVersionLevel,
      upgradeType: version > 0
        ? update.upgradeType
        : update.allowDowngrade
        ? UpgradeType.SAFE_DOWNGRADE
        : UpgradeType.UPGRADE,
    }));
    const { nodeId, versions } = services;
    const executed = yield* onController(
      services,
      (command) => updateFeatures(command, updates, validateOnly, { nodeId, versions }),
    );
    const { error, message } = executed?.result ?? controllerRefusal(services);
    if (error !== ErrorCode.NONE) {
      const isOfOne = error === ErrorCode.INVALID_UPDATE_VERSION;
      const errorMessage = isOfOne ? `${FOR_ALL}${message}` : message;
      return newUpdateFeaturesResponse({ errorCode: error, errorMessage });
    }
    return newUpdateFeaturesResponse({
      errorCode: ErrorCode.NONE,
      errorMessage: null,
      results: updates.map(({ feature }) => ({ feature, errorCode: 0, errorMessage: null })),
    });
  },
};
