/**
 * Requests per 30 seconds that arrived at a conversational LLM service of Microsoft Azure on 16 November 2023, from 18:15:46 UTC for
 * 58 minutes: counted from `AzureLLMInferenceTrace_conv.csv` of the Azure Public Dataset, (c) Microsoft Corporation,
 * licensed CC-BY-4.0 (https://github.com/Azure/AzurePublicDataset). Changed: only the counts are kept.
 */
export const ARRIVALS_PER_30_S: readonly number[] = [
  59, 132, 141, 124, 157, 172, 170, 183, 152, 155, 146, 127, 131, 137, 130, 131, 164, 158, 146, 152, 135, 166, 145, 157,
  171, 174, 160, 166, 134, 149, 140, 139, 133, 147, 166, 142, 154, 189, 178, 173, 160, 191, 159, 184, 203, 205, 203,
  193, 193, 193, 222, 176, 207, 225, 225, 255, 252, 224, 230, 223, 218, 230, 271, 236, 231, 207, 220, 193, 204, 219,
  182, 236, 239, 226, 161, 150, 178, 151, 153, 163, 172, 161, 186, 169, 190, 129, 182, 178, 153, 181, 174, 201, 183,
  147, 129, 120, 113, 108, 123, 126, 132, 133, 132, 148, 134, 122, 137, 117, 131, 111, 138, 122, 128, 118, 113, 112,
];
