/**
 * Which department a clinical resource belongs to, by one rule that can be told in a sentence: the first department
 * of the table with a stem that begins a word of the resource's codes or their texts; `general` when none does.
 * It is a default for import. A hospital that knows its departments names them itself.
 */
import { foldedWords } from '../search/words.ts';
import { asList, isObject, type JsonObject, type JsonValue } from './json.ts';

export const GENERAL_DEPARTMENT = 'general';

/** A department and the beginnings of words that speak of it, folded. */
export interface DepartmentRule {
  readonly department: string;
  readonly stems: readonly string[];
}

/** In order: a lung tumour is oncology's, a fetal heart obstetrics', a diabetic kidney nephrology's. */
export const DEPARTMENT_RULES: readonly DepartmentRule[] = [
  {
    department: 'oncology',
    stems:
      'neoplasm malignan carcinoma cancer tumor chemotherap leukemia lymphoma melanoma paclitaxel cisplatin docetaxel oxaliplatin'.split(
        ' ',
      ),
  },
  {
    department: 'obstetrics',
    stems:
      'pregnan fetal fetus antenatal prenatal obstetric contracept miscarriage childbirth preeclampsia eclampsia uterine intrauterine episiotomy cesarean'.split(
        ' ',
      ),
  },
  {
    department: 'psychiatry',
    stems: 'depress anxiety psychi schizo bipolar suicid alcohol opioid overdose abuse attention'.split(' '),
  },
  { department: 'nephrology', stems: 'kidney renal dialysis glomerul nephr epoetin'.split(' ') },
  {
    department: 'cardiology',
    stems:
      'cardi heart coronary myocardi atrial mitral aortic angina hypertens echocardio electrocardio defibrillator lisinopril simvastatin atorvastatin warfarin apixaban digoxin metoprolol amlodipine clopidogrel nitroglycerin verapamil furosemide hydrochlorothiazide'.split(
        ' ',
      ),
  },
  {
    department: 'pulmonology',
    stems:
      'asthma bronch pulmon emphysema spirometry albuterol salbutamol budesonide fluticasone lung copd'.split(
        ' ',
      ),
  },
  {
    department: 'neurology',
    stems:
      'seizure epilep stroke alzheimer dementia migraine concussion neuropath brain parkinson donepezil galantamine'.split(
        ' ',
      ),
  },
  {
    department: 'endocrinology',
    stems: 'diabet prediabet insulin metformin thyroid hypothyroid levothyroxine hyperglyc a1c hba1c'.split(
      ' ',
    ),
  },
  { department: 'gastroenterology', stems: 'colon rectal gastr append polyp cirrhosis'.split(' ') },
  { department: 'orthopedics', stems: 'fracture sprain osteo arthritis bone tendon joint arthro'.split(' ') },
];

/** Every department a default policy may name. */
export const DEPARTMENTS: readonly string[] = [
  ...DEPARTMENT_RULES.map(({ department }) => department),
  GENERAL_DEPARTMENT,
];

/** Elements whose codes and texts decide, of any resource type. */
const CODED_ELEMENTS = ['code', 'medicationCodeableConcept', 'reasonCode', 'type', 'serviceType'] as const;

/** The department of a clinical resource; see the rule above. */
export function departmentOf(json: JsonObject): string {
  // Vital signs, surveys and social history belong to whoever treats the patient, whatever organ they name.
  if (json.resourceType === 'Observation' && !isLaboratoryOrExam(json)) return GENERAL_DEPARTMENT;
  const words = CODED_ELEMENTS.flatMap((element) => asList(json[element]))
    .flatMap(conceptTexts)
    .flatMap(foldedWords);
  for (const { department, stems } of DEPARTMENT_RULES) {
    if (words.some((word) => stems.some((stem) => word.startsWith(stem)))) return department;
  }
  return GENERAL_DEPARTMENT;
}

const EVERYBODYS_CATEGORIES = new Set(['vital-signs', 'survey', 'social-history', 'activity']);

function isLaboratoryOrExam(json: JsonObject): boolean {
  const codes = asList(json.category).flatMap((concept) => (isObject(concept) ? asList(concept.coding) : []));
  return !codes.some((coding) => isObject(coding) && EVERYBODYS_CATEGORIES.has(String(coding.code)));
}

/** The text and the displays of a CodeableConcept. */
function conceptTexts(concept: JsonValue): string[] {
  if (!isObject(concept)) return [];
  const displays = asList(concept.coding).map((coding) => (isObject(coding) ? coding.display : undefined));
  return [concept.text, ...displays].filter((text) => typeof text === 'string');
}
