/**
 * Writes sample/patient-NN.json: transaction Bundles of invented patients, each a FHIR R4 document of its own.
 * Deterministic: the same script gives the same bytes. Everything in it was written for this project; nobody is real.
 * The JSON is printed here, not by JSON.stringify, because the sample must hold what careless software destroys:
 * decimals with trailing zeros, escapes that could be written plainly, and text beyond ASCII.
 *
 *   node scripts/make-sample.mjs            writes the files
 *   node scripts/make-sample.mjs --print    prints them one after the other
 */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ICD10 = 'http://hl7.org/fhir/sid/icd-10-cm';
const RXNORM = 'http://www.nlm.nih.gov/research/umls/rxnorm';
const LOINC = 'http://loinc.org';
const UCUM = 'http://unitsofmeasure.org';
const HL7 = 'http://terminology.hl7.org/CodeSystem';
const SAMPLE = 'http://example.org/sample';

/** A decimal exactly as written. */
const decimal = (text) => ({ raw: text });
/** A string whose non-ASCII characters are written as \u escapes. */
const escaped = (text) => ({
  raw: JSON.stringify(text).replace(
    /[\u0080-\uffff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  ),
});

function uuid(name) {
  const hex = createHash('sha256').update(`hippocrypt sample ${name}`).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

const CONDITIONS = {
  diabetes: ['E11.9', 'Type 2 diabetes mellitus without complications'],
  kidney: ['E11.22', 'Type 2 diabetes mellitus with diabetic chronic kidney disease'],
  hypertension: ['I10', 'Essential (primary) hypertension'],
  fibrillation: ['I48.91', 'Unspecified atrial fibrillation'],
  failure: ['I50.9', 'Heart failure, unspecified'],
  asthma: ['J45.909', 'Unspecified asthma, uncomplicated'],
  copd: ['J44.9', 'Chronic obstructive pulmonary disease, unspecified'],
  migraine: ['G43.909', 'Migraine, unspecified, not intractable'],
  depression: ['F32.9', 'Major depressive disorder, single episode, unspecified'],
  osteoarthritis: ['M17.11', 'Unilateral primary osteoarthritis, right knee'],
  lipids: ['E78.5', 'Hyperlipidemia, unspecified'],
  breast: ['C50.911', 'Malignant neoplasm of unspecified site of right female breast'],
};

const MEDICATIONS = {
  metformin: ['860975', 'Metformin hydrochloride 500 MG Extended Release Oral Tablet'],
  lisinopril: ['314076', 'lisinopril 10 MG Oral Tablet'],
  warfarin: ['855332', 'Warfarin Sodium 5 MG Oral Tablet'],
  simvastatin: ['314231', 'Simvastatin 10 MG Oral Tablet'],
  albuterol: ['745679', '200 ACTUAT Albuterol 0.09 MG/ACTUAT Metered Dose Inhaler'],
  ibuprofen: ['310965', 'Ibuprofen 200 MG Oral Tablet'],
  amlodipine: ['197361', 'Amlodipine 5 MG Oral Tablet'],
};

const ALLERGIES = {
  penicillin: ['7980', 'penicillin G', 'medication'],
  aspirin: ['1191', 'aspirin', 'medication'],
};

/** LOINC code, display, unit, printed unit, category. */
const OBSERVATIONS = {
  hba1c: ['4548-4', 'Hemoglobin A1c/Hemoglobin.total in Blood', '%', '%', 'laboratory'],
  glucose: ['2345-7', 'Glucose [Mass/volume] in Serum or Plasma', 'mg/dL', 'mg/dL', 'laboratory'],
  creatinine: ['2160-0', 'Creatinine [Mass/volume] in Serum or Plasma', 'mg/dL', 'mg/dL', 'laboratory'],
  ldl: [
    '13457-7',
    'Cholesterol in LDL [Mass/volume] in Serum or Plasma by calculation',
    'mg/dL',
    'mg/dL',
    'laboratory',
  ],
  weight: ['29463-7', 'Body weight', 'kg', 'kg', 'vital-signs'],
  height: ['8302-2', 'Body height', 'cm', 'cm', 'vital-signs'],
  temperature: ['8310-5', 'Body temperature', 'Cel', '\u00b0C', 'vital-signs'],
  heartRate: ['8867-4', 'Heart rate', '/min', 'beats/min', 'vital-signs'],
};

/** Organisations by number: the hash of `<system>|clinic-NN` decides which hospital keeps the patients. */
const ORGANISATIONS = {
  1: 'Sample Clinic 01 (Caf\u00e9 Road)',
  2: 'Sample Clinic 02',
  3: 'Sample Clinic 03',
  4: 'Sample Clinic 04 \u2013 Universit\u00e4tsambulanz',
  5: 'Sample Clinic 05',
  6: 'Sample Clinic 06',
};

const PATIENTS = [
  {
    clinic: 2,
    gender: 'female',
    birthDate: '1958-03-14',
    conditions: ['diabetes', 'hypertension', 'lipids'],
    medications: ['metformin', 'lisinopril', 'simvastatin'],
    allergies: ['penicillin'],
    observations: { hba1c: '7.10', weight: '81.0', glucose: '148.0' },
    pressure: ['146', '88'],
    note: 'Follow-up visit for type 2 diabetes and hypertension. The patient reports walking daily and has lost some weight since spring. Home readings are still above target in the mornings. No chest pain, no dizziness, no numbness of the feet. Foot examination without findings. Plan: continue metformin and lisinopril, repeat HbA1c in three months, refer to the dietitian.',
  },
  {
    clinic: 6,
    gender: 'male',
    birthDate: '1949-11-02',
    conditions: ['kidney', 'diabetes', 'hypertension'],
    medications: ['metformin', 'amlodipine'],
    allergies: [],
    observations: { hba1c: '8.0', creatinine: '1.60', weight: '93.50' },
    pressure: ['158', '92'],
    note: 'Long-standing diabetes with early kidney disease. Creatinine is stable at 1.6 mg/dL. Blood pressure remains high despite treatment, so amlodipine was added today. The patient was advised to avoid ibuprofen and similar drugs. Metformin dose reviewed against kidney function and kept. Next laboratory control in six weeks.',
  },
  {
    clinic: 2,
    gender: 'female',
    birthDate: '1971-07-29',
    conditions: ['asthma', 'migraine'],
    medications: ['albuterol', 'ibuprofen'],
    allergies: ['aspirin'],
    observations: { temperature: '36.80', heartRate: '72' },
    pressure: ['118', '74'],
    note: 'Asthma well controlled, inhaler used about once a week, mostly after exercise. Migraine attacks twice a month, usually relieved by rest in a dark room. Aspirin caused wheezing in the past and must be avoided. Lungs clear on auscultation. Peak flow 420 L/min. Plan: keep the inhaler, headache diary until the next visit.',
  },
  {
    clinic: 6,
    gender: 'male',
    birthDate: '1964-01-20',
    conditions: ['fibrillation', 'hypertension'],
    medications: ['warfarin', 'lisinopril'],
    allergies: [],
    observations: { heartRate: '88', weight: '77.0' },
    pressure: ['139', '85'],
    note: 'Atrial fibrillation, rate controlled. No bleeding under warfarin, INR 2.4. The patient noticed palpitations on two evenings after coffee. Electrocardiogram shows an irregular rhythm at 88 per minute. Plan: continue anticoagulation, less coffee, control in four weeks.',
  },
  {
    clinic: 4,
    gender: 'female',
    birthDate: '1967-05-08',
    conditions: ['diabetes', 'hypertension'],
    medications: ['metformin', 'lisinopril'],
    allergies: [],
    observations: { hba1c: '6.90', weight: '70.50', ldl: '131.0' },
    pressure: ['142', '86'],
    note: 'Second opinion on diabetes treatment. Values have improved since metformin was started; the patient tolerates it well with meals. Retinal screening last autumn was normal. LDL is above target and a statin was discussed. The patient prefers to try diet first. Patient asks to receive letters in German (Gr\u00fc\u00dfe).',
  },
  {
    clinic: 4,
    gender: 'male',
    birthDate: '1980-12-11',
    conditions: ['depression', 'migraine'],
    medications: ['ibuprofen'],
    allergies: ['penicillin'],
    observations: { temperature: '37.50', heartRate: '66' },
    pressure: ['124', '79'],
    note: 'Low mood since winter, sleep disturbed, work still possible. No thoughts of self-harm. Conversation about treatment options; the patient chooses counselling first. Headaches as before. Plan: weekly appointments, review in one month.',
  },
  {
    clinic: 4,
    gender: 'female',
    birthDate: '1990-09-30',
    conditions: ['asthma'],
    medications: ['albuterol'],
    allergies: [],
    observations: { temperature: '36.6', weight: '58.0', height: '164.0' },
    pressure: ['112', '70'],
    note: 'Seasonal worsening of asthma with birch pollen. Night cough three times a week. Inhaler technique checked and corrected. Spirometry shows mild obstruction that is reversible. Plan: regular inhaled treatment during the season, control in two weeks.',
  },
  {
    clinic: 1,
    gender: 'male',
    birthDate: '1955-02-17',
    conditions: ['diabetes', 'hypertension'],
    medications: ['amlodipine', 'simvastatin'],
    allergies: [],
    observations: { hba1c: '6.5', weight: '88.0', ldl: '97.50' },
    pressure: ['136', '82'],
    note: 'Diabetes treated by diet alone, HbA1c at target. Blood pressure acceptable under amlodipine. The patient stopped metformin two years ago because of stomach upset and does not wish to take it again. Plan: unchanged, control in six months.',
  },
  {
    clinic: 1,
    gender: 'female',
    birthDate: '1943-06-25',
    conditions: ['failure', 'fibrillation'],
    medications: ['warfarin', 'lisinopril'],
    allergies: ['penicillin'],
    observations: { weight: '64.50', creatinine: '1.0', heartRate: '94' },
    pressure: ['128', '76'],
    note: 'Heart failure with more shortness of breath on stairs for one week. Ankles swollen, weight up by 2.5 kg. Lungs with fine crackles at both bases. Diuretic increased, fluid restricted to 1.5 litres a day. The patient will call if weight rises further. Control in three days.',
  },
  {
    clinic: 1,
    gender: 'female',
    birthDate: '1976-10-04',
    conditions: ['breast'],
    medications: ['ibuprofen'],
    allergies: [],
    observations: { weight: '61.0', temperature: '36.90' },
    pressure: ['120', '78'],
    note: 'Visit after surgery of the right breast. Wound healing well, no fever, arm moves freely. Pathology discussed with the patient and her family. Chemotherapy will be planned in the tumour board on Thursday. Pain controlled with ibuprofen.',
  },
  {
    clinic: 3,
    gender: 'male',
    birthDate: '1961-08-19',
    conditions: ['diabetes', 'osteoarthritis'],
    medications: ['metformin', 'ibuprofen'],
    allergies: [],
    observations: { hba1c: '7.40', weight: '102.0', height: '179.50' },
    pressure: ['132', '80'],
    note: 'Knee pain when walking downhill, worse on the right. X-ray shows narrowing of the joint space. Physiotherapy and weight loss advised. Diabetes not quite at target; metformin dose raised. Blood pressure normal today.',
  },
  {
    clinic: 3,
    gender: 'female',
    birthDate: '1952-04-01',
    conditions: ['hypertension', 'copd'],
    medications: ['amlodipine', 'albuterol'],
    allergies: ['aspirin'],
    observations: { heartRate: '80', temperature: '37.0' },
    pressure: ['151', '90'],
    note: 'Chronic bronchitis with emphysema after many years of smoking; stopped in 2019. Cough with clear sputum, no fever. Oxygen saturation 93 % at rest. Vaccinations are complete. Blood pressure above target, amlodipine increased. Pulmonary rehabilitation offered.',
  },
  {
    clinic: 5,
    gender: 'male',
    birthDate: '1986-01-09',
    conditions: ['migraine'],
    medications: ['ibuprofen'],
    allergies: [],
    observations: { heartRate: '61', weight: '74.0' },
    pressure: ['116', '72'],
    note: 'Migraine with aura, one attack a month. Zigzag lines for twenty minutes before the pain begins. Neurological examination normal. No imaging needed at present. Headache diary started; preventive treatment if attacks become more frequent.',
  },
];

const QUANTITY_DATES = ['2024-02-05', '2024-05-21', '2024-09-10', '2025-01-16', '2025-03-27'];

/** Reference to another entry of the same Bundle. */
const to = (name, display) => ({ reference: `urn:uuid:${uuid(name)}`, ...(display && { display }) });
const concept = (system, [code, display], text = display) => ({ coding: [{ system, code, display }], text });
const coded = (system, code) => ({ coding: [{ system, code }] });

function bundleOf(patient, number) {
  const tag = String(number).padStart(2, '0');
  const id = (kind) => `${kind}-${tag}`;
  const day = QUANTITY_DATES[number % QUANTITY_DATES.length];
  const subject = to(id('patient'));
  const encounter = to(id('encounter'));
  const clinic = String(patient.clinic).padStart(2, '0');
  const entries = [];
  const add = (name, resource) =>
    entries.push({
      fullUrl: `urn:uuid:${uuid(name)}`,
      resource: { resourceType: resource.resourceType, id: uuid(name), ...resource },
      request: { method: 'POST', url: resource.resourceType },
    });

  add(id('patient'), {
    resourceType: 'Patient',
    identifier: [{ system: `${SAMPLE}/patient`, value: `TP-${tag}` }],
    active: true,
    name: [
      number % 3 === 0
        ? {
            use: 'official',
            text: escaped(`T\u00ebst P\u00e4tient ${tag}`),
            family: 'T\u00ebst',
            given: [`P\u00e4tient ${tag}`],
          }
        : { use: 'official', text: `Test Patient ${tag}`, family: 'Test', given: [`Patient ${tag}`] },
    ],
    gender: patient.gender,
    birthDate: patient.birthDate,
  });
  add(`organization-${clinic}`, {
    resourceType: 'Organization',
    identifier: [{ system: `${SAMPLE}/organization`, value: `clinic-${clinic}` }],
    active: true,
    type: [concept(`${HL7}/organization-type`, ['prov', 'Healthcare Provider'])],
    name: ORGANISATIONS[patient.clinic],
  });
  add(`practitioner-${clinic}`, {
    resourceType: 'Practitioner',
    identifier: [{ system: `${SAMPLE}/practitioner`, value: `SP-${clinic}` }],
    active: true,
    name: [
      {
        text: `Sample Practitioner ${clinic}`,
        family: 'Sample',
        given: [`Practitioner ${clinic}`],
        prefix: ['Dr.'],
      },
    ],
  });
  add(id('encounter'), {
    resourceType: 'Encounter',
    status: 'finished',
    class: { system: `${HL7}/v3-ActCode`, code: 'AMB', display: 'ambulatory' },
    type: [{ text: 'Consultation' }],
    subject,
    participant: [{ individual: to(`practitioner-${clinic}`) }],
    period: { start: `${day}T09:00:00+01:00`, end: `${day}T09:25:00+01:00` },
    reasonCode: [concept(ICD10, CONDITIONS[patient.conditions[0]])],
    serviceProvider: to(`organization-${clinic}`, ORGANISATIONS[patient.clinic]),
  });
  patient.conditions.forEach((key, i) => {
    add(id(`condition-${key}`), {
      resourceType: 'Condition',
      clinicalStatus: coded(`${HL7}/condition-clinical`, 'active'),
      verificationStatus: coded(`${HL7}/condition-ver-status`, 'confirmed'),
      category: [coded(`${HL7}/condition-category`, 'encounter-diagnosis')],
      code: concept(ICD10, CONDITIONS[key]),
      subject,
      encounter,
      onsetDateTime: `${2010 + ((number + 3 * i) % 12)}-${String(1 + ((number * 5 + i) % 12)).padStart(2, '0')}`,
      recordedDate: day,
    });
  });
  const results = [];
  for (const [key, value] of Object.entries(patient.observations)) {
    const [code, display, unit, printed, category] = OBSERVATIONS[key];
    if (category === 'laboratory') results.push(to(id(`observation-${key}`), display));
    add(id(`observation-${key}`), {
      resourceType: 'Observation',
      status: 'final',
      category: [coded(`${HL7}/observation-category`, category)],
      code: concept(LOINC, [code, display]),
      subject,
      encounter,
      effectiveDateTime: `${day}T09:05:00+01:00`,
      valueQuantity: { value: decimal(value), unit: printed, system: UCUM, code: unit },
    });
  }
  const pressure = (code, display, value) => ({
    code: concept(LOINC, [code, display]),
    valueQuantity: { value: decimal(value), unit: 'mmHg', system: UCUM, code: 'mm[Hg]' },
  });
  add(id('observation-pressure'), {
    resourceType: 'Observation',
    status: 'final',
    category: [coded(`${HL7}/observation-category`, 'vital-signs')],
    code: concept(LOINC, ['85354-9', 'Blood pressure panel with all children optional']),
    subject,
    encounter,
    effectiveDateTime: `${day}T09:05:00+01:00`,
    component: [
      pressure('8480-6', 'Systolic blood pressure', patient.pressure[0]),
      pressure('8462-4', 'Diastolic blood pressure', patient.pressure[1]),
    ],
  });
  patient.medications.forEach((key, i) => {
    add(id(`medication-${key}`), {
      resourceType: 'MedicationRequest',
      status: 'active',
      intent: 'order',
      medicationCodeableConcept: concept(RXNORM, MEDICATIONS[key]),
      subject,
      encounter,
      authoredOn: day,
      requester: to(`practitioner-${clinic}`),
      dosageInstruction: [
        {
          sequence: 1,
          text: i === 0 ? 'One with breakfast' : escaped('\u00bd\u20131 as needed'),
          doseAndRate: [{ doseQuantity: { value: decimal('1.0'), unit: 'dose' } }],
        },
      ],
    });
  });
  for (const key of patient.allergies) {
    const [code, display, category] = ALLERGIES[key];
    add(id(`allergy-${key}`), {
      resourceType: 'AllergyIntolerance',
      clinicalStatus: coded(`${HL7}/allergyintolerance-clinical`, 'active'),
      verificationStatus: coded(`${HL7}/allergyintolerance-verification`, 'confirmed'),
      category: [category],
      criticality: 'high',
      code: concept(RXNORM, [code, display]),
      patient: subject,
      recordedDate: day,
    });
  }
  if (results.length > 0) {
    add(id('report'), {
      resourceType: 'DiagnosticReport',
      status: 'final',
      category: [coded(`${HL7}/v2-0074`, 'LAB')],
      code: concept(LOINC, ['11502-2', 'Laboratory report']),
      subject,
      encounter,
      effectiveDateTime: `${day}T09:05:00+01:00`,
      issued: `${day}T14:30:00.000+01:00`,
      result: results,
      conclusion: `Laboratory values of the visit, ${results.length} in all; see the single results.`,
    });
  }
  add(id('note'), {
    resourceType: 'DocumentReference',
    status: 'current',
    docStatus: 'final',
    type: concept(LOINC, ['11506-3', 'Progress note']),
    category: [
      coded('http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category', 'clinical-note'),
    ],
    subject,
    date: `${day}T09:30:00+01:00`,
    author: [to(`practitioner-${clinic}`)],
    custodian: to(`organization-${clinic}`),
    content: [
      {
        attachment: {
          contentType: 'text/plain; charset=utf-8',
          language: 'en',
          data: Buffer.from(`${patient.note}\n`, 'utf8').toString('base64'),
        },
      },
    ],
    context: { encounter: [encounter] },
  });
  return {
    resourceType: 'Bundle',
    id: uuid(`bundle-${tag}`),
    meta: {
      tag: [{ system: `${SAMPLE}/tag`, code: 'synthetic', display: 'Written for tests; nobody is real' }],
    },
    type: 'transaction',
    entry: entries,
  };
}

/** JSON with an indent of two, keeping what `decimal` and `escaped` wrote. */
function print(value, indent = '') {
  if (value !== null && typeof value === 'object' && typeof value.raw === 'string') return value.raw;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const inner = `${indent}  `;
  const list = Array.isArray(value);
  const parts = list
    ? value.map((one) => print(one, inner))
    : Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${print(one, inner)}`);
  const [open, close] = list ? '[]' : '{}';
  return `${open}\n${parts.map((part) => inner + part).join(',\n')}\n${indent}${close}`;
}

const documents = PATIENTS.map((patient, i) => `${print(bundleOf(patient, i + 1))}\n`);
if (process.argv.includes('--print')) {
  process.stdout.write(documents.join(''));
} else {
  const folder = fileURLToPath(new URL('../sample/', import.meta.url));
  mkdirSync(folder, { recursive: true });
  documents.forEach((document, i) => {
    writeFileSync(`${folder}patient-${String(i + 1).padStart(2, '0')}.json`, document);
  });
}
